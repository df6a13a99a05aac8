import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import { readChain, writeChain } from '@virtio-platform/device-kit';
import type { BrokenDevice, Bug } from './broken-device.ts';
import { altered, config } from './register-bugs.ts';

/** A request as a broken device half sees it, and changes it. */
export interface Seen {
  readonly chain: DescriptorChain;
  readonly space: DeviceAddressSpace;
  readonly queue: number;
  readonly type: number;
  readonly sector: number;
  /** Bytes of the data that the device writes. */
  readonly room: number;
  /** Lets the shipped device half handle it. Returns the used length. */
  readonly handle: () => number;
  /** Replaces the header that the device half takes for the request. */
  readonly rewrite: (type: number, sector: number) => void;
  /** Answers with a status and no data. */
  readonly answer: (status: number) => number;
  readonly device: BrokenDevice;
}

/** The types of requests (specification 1.4 section 5.2.6). */
export const [IN, OUT, FLUSH, GET_ID, DISCARD, ZEROES] = [0, 1, 4, 8, 11, 13] as const;

/** A disk whose requests are handled in another way. */
export function blockBug(name: string, process: (seen: Seen) => number): Bug {
  return {
    name,
    model: (model, device) => ({
      process: (queue, chain, space, queues) => {
        const header = new Uint8Array(16);
        readChain(chain, space, 0, header, 0, Math.min(16, chain.readableBytes));
        const view = new DataView(header.buffer);
        return process({
          chain,
          space,
          queue,
          type: view.getUint32(0, true),
          sector: Number(view.getBigUint64(8, true)),
          room: Math.max(0, chain.writableBytes - 1),
          handle: () => model.process(queue, chain, space, queues),
          rewrite: (type, sector) => {
            view.setUint32(0, type, true);
            view.setBigUint64(8, BigInt(sector), true);
            rewriteReadable(chain, space, header);
          },
          answer: (status) => {
            if (chain.writableBytes > 0) writeChain(chain, space, chain.writableBytes - 1, Uint8Array.of(status), 0, 1);
            return 0;
          },
          device,
        });
      },
    }),
  };
}

/** Writes to the readable part, which is memory like any other to a device that is broken on purpose. */
function rewriteReadable(chain: DescriptorChain, space: DeviceAddressSpace, bytes: Uint8Array): void {
  for (let i = 0, at = 0; i < chain.readable && at < bytes.length; i++) {
    const length = Math.min(chain.length[i]!, bytes.length - at);
    const place = space.borrow(chain.low[i]!, chain.high[i]!, length, 'read');
    space.memory.u8.set(bytes.subarray(at, at + length), place);
    at += length;
  }
}

/** Handles a request with another header, and puts the driver's back. */
function as({ type, sector, rewrite, handle }: Seen, otherType: number, otherSector: number): number {
  rewrite(otherType, otherSector);
  const written = handle();
  rewrite(type, sector);
  return written;
}

/** Bugs of a disk, and assumptions about the framing of its requests. */
export const BLOCK_BUGS: readonly Bug[] = [
  blockBug('takes the header from the first descriptor only', (seen) =>
    seen.chain.length[0]! < 16 ? seen.answer(1) : seen.handle(),
  ),
  blockBug('wants the header in a descriptor of its own', (seen) =>
    seen.type === OUT && seen.chain.length[0]! > 16 ? seen.answer(1) : seen.handle(),
  ),
  blockBug('wants whole sectors in each descriptor', (seen) => {
    const { chain } = seen;
    for (let i = 1; i < chain.readable; i++) if (chain.length[i]! % 512 !== 0) return seen.answer(1);
    return seen.handle();
  }),
  blockBug('wants the status in a descriptor with something else', (seen) =>
    seen.chain.count - seen.chain.readable > 1 && seen.chain.length[seen.chain.count - 1] === 1 ? 0 : seen.handle(),
  ),
  blockBug('writes to the first writable descriptor only', (seen) => {
    const { chain } = seen;
    return chain.count - chain.readable > 1 ? seen.answer(0) : seen.handle();
  }),
  blockBug('writes to writable descriptors of 1 byte not at all', (seen) => {
    const { chain } = seen;
    return chain.length[chain.readable] === 1 && chain.count - chain.readable > 1 ? seen.answer(0) : seen.handle();
  }),
  blockBug('says a used length without having written', (seen) => {
    if (seen.type !== IN) return seen.handle();
    seen.answer(0);
    return seen.room + 1;
  }),
  blockBug('drops every write', (seen) => (seen.type === OUT ? seen.answer(0) : seen.handle())),
  blockBug('writes one sector too far', (seen) => (seen.type === OUT ? as(seen, OUT, seen.sector + 1) : seen.handle())),
  blockBug('writes to the sector before as well', (seen) => {
    if (seen.type === OUT && seen.sector > 100) as(seen, OUT, seen.sector - 1);
    return seen.handle();
  }),
  blockBug('takes at most 64 KiB', (seen) => (seen.chain.readableBytes > 0x1_0010 ? seen.answer(1) : seen.handle())),
  blockBug('has no last sector', (seen) =>
    (seen.type === IN || seen.type === OUT) && seen.sector === 32_767 ? seen.answer(1) : seen.handle(),
  ),
  blockBug('reads behind the end of the disk', (seen) =>
    seen.type === IN && seen.sector * 512 + seen.room > 16 * 2 ** 20 ? as(seen, IN, 0) : seen.handle(),
  ),
  blockBug('writes behind the end of the disk', (seen) =>
    seen.type === OUT && seen.sector >= 32_768 ? as(seen, OUT, 300) : seen.handle(),
  ),
  blockBug('cuts a sector to 32 bits', (seen) =>
    seen.type === IN && seen.sector > 2 ** 32 ? as(seen, IN, 0) : seen.handle(),
  ),
  blockBug('hangs at part of a sector', (seen) => {
    if (seen.type === IN && seen.room === 100) seen.device.wedge();
    return seen.handle();
  }),
  blockBug('has another identification each time', (seen) => {
    const written = seen.handle();
    if (seen.type !== GET_ID) return written;
    writeChain(seen.chain, seen.space, 0, Uint8Array.of(65 + (seen.device.count++ % 20)), 0, 1);
    return written;
  }),
  blockBug('cuts its identification to the first descriptor', (seen) => {
    const { chain } = seen;
    if (seen.type !== GET_ID || chain.count - chain.readable < 3) return seen.handle();
    writeChain(chain, seen.space, 0, Uint8Array.of(66, 67), 0, 2);
    return seen.answer(0);
  }),
  blockBug('fails a flush', (seen) => (seen.type === FLUSH ? seen.answer(1) : seen.handle())),
  blockBug('answers OK to a request that it does not know', (seen) =>
    seen.type > 14 ? seen.answer(0) : seen.handle(),
  ),
  blockBug('forgets what was written at a reset', (seen) => {
    const first = seen.device.rings[0]?.taken === 1;
    if (first && seen.type === IN && seen.sector === 128) return seen.answer(1);
    return seen.handle();
  }),
  blockBug('writes no zeroes', (seen) => (seen.type === ZEROES ? seen.answer(0) : seen.handle())),
  blockBug('writes no zeroes where it may deallocate', (seen) =>
    seen.type === ZEROES && flagsOf(seen) === 1 ? seen.answer(0) : seen.handle(),
  ),
  blockBug('ignores unknown flags', (seen) => {
    const isRanged = seen.type === DISCARD || seen.type === ZEROES;
    return isRanged && flagsOf(seen) > 1 ? seen.answer(0) : seen.handle();
  }),
  blockBug('ignores the unmap flag of a discard', (seen) =>
    seen.type === DISCARD && flagsOf(seen) === 1 ? seen.answer(0) : seen.handle(),
  ),
  blockBug('fails every discard', (seen) => (seen.type === DISCARD ? seen.answer(1) : seen.handle())),
  blockBug('takes a range from one descriptor only', (seen) =>
    seen.type === ZEROES && seen.chain.readable > 2 ? seen.answer(1) : seen.handle(),
  ),
  blockBug('answers OK to wrong ranges', (seen) => {
    const isRanged = seen.type === DISCARD || seen.type === ZEROES;
    if (!isRanged) return seen.handle();
    const isWrong = seen.chain.readableBytes !== 32 || rangeOf(seen)[0] >= 32_768 || rangeOf(seen)[1] > 32_768;
    return isWrong ? seen.answer(0) : seen.handle();
  }),
  config('has padding that is not 0', (bytes) => (bytes[33] = 7)),
  config('has a block size that is no power of two', (bytes) => bytes.set([0, 3], 20)),
  config('has a seg_max of 0', (bytes) => bytes.fill(0, 12, 16)),
  config('has no queues', (bytes) => bytes.fill(0, 34, 36)),
  config('has limits of 0', (bytes) => {
    bytes.fill(0, 36, 40);
    bytes.fill(0, 48, 52);
  }),
  config('keeps write-back', (bytes) => (bytes[32] = 1)),
  {
    name: 'has no flush',
    transport: altered((inner) => ({ readDeviceFeatures: () => inner.readDeviceFeatures().without(9).without(11) })),
  },
  {
    name: 'offers zones that it does not have',
    transport: altered((inner) => ({ readDeviceFeatures: () => inner.readDeviceFeatures().with(17) })),
  },
];

/** Sector and number of sectors of the first range. */
export function rangeOf({ chain, space }: Seen): readonly [number, number] {
  const bytes = new Uint8Array(16);
  readChain(chain, space, 16, bytes, 0, Math.min(16, chain.readableBytes - 16));
  const view = new DataView(bytes.buffer);
  return [Number(view.getBigUint64(0, true)), view.getUint32(8, true)];
}

function flagsOf({ chain, space }: Seen): number {
  const bytes = new Uint8Array(4);
  readChain(chain, space, 28, bytes, 0, 4);
  return new DataView(bytes.buffer).getUint32(0, true);
}
