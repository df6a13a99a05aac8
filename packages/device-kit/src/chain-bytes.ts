import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DescriptorChain } from '@virtio-platform/core/queue';

/**
 * Reads `length` bytes of the readable part of a chain, from its byte `skip` on, into `target` from byte `at` on.
 * Returns false after a fault, or when the chain has less. Framing does not matter (specification 1.4 section 2.7.4).
 * Hot.
 */
export function readChain(
  chain: DescriptorChain,
  space: DeviceAddressSpace,
  skip: number,
  target: Uint8Array,
  at: number,
  length: number,
): boolean {
  return transfer(chain, space, false, skip, target, at, length);
}

/**
 * Writes `length` bytes of `source`, from byte `at` on, into the writable part, from its byte `skip` on; otherwise as
 * {@link readChain}. Hot.
 */
export function writeChain(
  chain: DescriptorChain,
  space: DeviceAddressSpace,
  skip: number,
  source: Uint8Array,
  at: number,
  length: number,
): boolean {
  return transfer(chain, space, true, skip, source, at, length);
}

/** Makes `target` a copy of `chain`, for a buffer that is kept: the queue reuses its chain. */
export function copyChain(target: DescriptorChain, chain: DescriptorChain): void {
  for (let i = 0; i < chain.count; i++) {
    target.low[i] = chain.low[i]!;
    target.high[i] = chain.high[i]!;
    target.length[i] = chain.length[i]!;
  }
  target.head = chain.head;
  target.count = chain.count;
  target.readable = chain.readable;
  target.readableBytes = chain.readableBytes;
  target.bytes = chain.bytes;
}

function transfer(
  chain: DescriptorChain,
  space: DeviceAddressSpace,
  isWrite: boolean,
  skip: number,
  bytes: Uint8Array,
  at: number,
  length: number,
): boolean {
  const end = isWrite ? chain.count : chain.readable;
  let done = 0;
  for (let i = isWrite ? chain.readable : 0; i < end && done < length; i++) {
    const segment = chain.length[i]!;
    if (skip >= segment) {
      skip -= segment;
      continue;
    }
    const run = Math.min(segment - skip, length - done);
    const low = chain.low[i]! + skip;
    const high = (chain.high[i]! + (low >= 0x1_0000_0000 ? 1 : 0)) >>> 0;
    const isDone = isWrite
      ? space.write(low >>> 0, high, bytes, at + done, run)
      : space.read(low >>> 0, high, bytes, at + done, run);
    if (!isDone) return false;
    done += run;
    skip = 0;
  }
  return done === length;
}
