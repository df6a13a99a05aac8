import type { GoodRequest } from '@virtio-platform/core';
import * as wire from '../layout.ts';

/** What is asked of a disk, and what it has to answer. */
export interface WantedAnswer {
  readonly type: number;
  readonly sector?: bigint | number;
  /** Follows the header. */
  readonly data?: Uint8Array;
  /** Bytes of data that the device may write in front of the status. */
  readonly room?: number;
  /** The status that it has to answer with, or several of which any is right. Default: OK. */
  readonly status?: number | readonly number[];
  /** The data that it has to write; not compared without it. */
  readonly expected?: Uint8Array;
}

/** Queue of the requests of the cases. */
const QUEUE = 0;
/** What a byte is before the device writes it: no status of a block device. */
const NO_STATUS = 0xaa;

/** A request of a block device (specification 1.4 section 5.2.6), with the answer that is right. */
export function blockRequest(wanted: WantedAnswer): GoodRequest {
  const { type, sector = 0, data = new Uint8Array(0), room = 0, status = wire.VIRTIO_BLK_S_OK, expected } = wanted;
  const readable = new Uint8Array(wire.BLOCK_HEADER_SIZE + data.length);
  const view = new DataView(readable.buffer);
  view.setUint32(0, type, true);
  view.setBigUint64(8, BigInt(sector), true);
  readable.set(data, wire.BLOCK_HEADER_SIZE);
  const right = typeof status === 'number' ? [status] : status;
  return {
    queue: QUEUE,
    readable,
    writable: room + 1,
    check: (written) => {
      const seen = written[room]!;
      if (!right.includes(seen)) return `the status is ${seen}, and has to be ${right.join(' or ')}`;
      if (expected === undefined || seen !== wire.VIRTIO_BLK_S_OK) return undefined;
      const at = expected.findIndex((byte, i) => written[i] !== byte);
      return at < 0 ? undefined : `byte ${at} of the data is ${written[at]}, and has to be ${expected[at]}`;
    },
  };
}

/** A read of whole sectors. */
export function readOf(sector: number, expected: Uint8Array): GoodRequest {
  return blockRequest({ type: wire.VIRTIO_BLK_T_IN, sector, room: expected.length, expected });
}

/** A write of whole sectors. */
export function writeOf(sector: number, data: Uint8Array): GoodRequest {
  return blockRequest({ type: wire.VIRTIO_BLK_T_OUT, sector, data });
}

/** A flush. */
export function flush(): GoodRequest {
  return blockRequest({ type: wire.VIRTIO_BLK_T_FLUSH });
}

/** Bytes that say where they belong and what wrote them: no two sectors are the same. */
export function patternOf(sector: number, seed: number, sectors = 1): Uint8Array {
  const bytes = new Uint8Array(sectors * wire.SECTOR_SIZE);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 4)
    view.setUint32(at, Math.imul(sector * 128 + at / 4 + 1, 0x9e37_79b1) ^ Math.imul(seed + 1, 0x85eb_ca6b), true);
  return bytes;
}

/** Whether a byte is as it was before the request. */
export function isUntouched(byte: number): boolean {
  return (byte & 0xf0) === (NO_STATUS & 0xf0);
}
