import type {
  BenchSegment,
  ConformRing,
  Framing,
  GoodRequest,
  LaidOutRequest,
  ReturnedBuffer,
} from '@virtio-platform/core';
import { VIRTQ_DESC_F_WRITE } from '@virtio-platform/core/queue';
import type { WatchedMemory } from './watched-memory.ts';

/** Writes a request to memory, cut as `framing` says. Ends the case where memory has no room. */
export function layOutRequest(memory: WatchedMemory, request: GoodRequest, framing: Framing = {}): LaidOutRequest {
  const { readable, writable } = request;
  const out = cut(memory, 'what the device reads', readable.length, framing.readable, false);
  const into = cut(memory, 'what the device writes', writable, framing.writable, true);
  let at = 0;
  for (const { buffer } of out) {
    buffer.write(readable.subarray(at, at + buffer.length));
    at += buffer.length;
  }
  const check = ({ length }: ReturnedBuffer): string | undefined => {
    if (length > writable) return `the used length is ${length}, of ${writable} bytes that the device may write`;
    const written = new Uint8Array(writable);
    let offset = 0;
    for (const { buffer } of into) {
      written.set(buffer.read(), offset);
      offset += buffer.length;
    }
    return request.check(written, length);
  };
  return { request, segments: [...out, ...into], check };
}

/** What is wrong with a buffer that came back, of which the device had `id` only; `undefined` where nothing is. */
export function wrongInReturned(
  id: number,
  returned: ReturnedBuffer,
  laid: LaidOutRequest,
  { layout }: Pick<ConformRing, 'layout'>,
): string | undefined {
  if (returned.id !== id) return `the device returned buffer ${returned.id}, and had ${id} only`;
  return laid.check(layout === 'packed' ? marked(returned, laid) : returned);
}

/** The length of a packed used descriptor without WRITE means nothing (2.8.3). */
function marked(returned: ReturnedBuffer, { request }: LaidOutRequest): ReturnedBuffer {
  const isMarked = (returned.flags & VIRTQ_DESC_F_WRITE) !== 0 || returned.length <= request.writable;
  return isMarked ? returned : { ...returned, length: 0 };
}

/** Cuts `bytes` into buffers of these lengths; what is left is one more. */
function cut(
  memory: WatchedMemory,
  name: string,
  bytes: number,
  lengths: readonly number[] = [],
  isWritable: boolean,
): BenchSegment[] {
  const segments: BenchSegment[] = [];
  let left = bytes;
  for (const length of [...lengths, bytes]) {
    const taken = Math.min(length, left);
    if (taken === 0) continue;
    left -= taken;
    const buffer = memory.allocate(`${name} (${segments.length + 1})`, taken, isWritable ? 64 : 16);
    segments.push({ buffer, isWritable });
  }
  return segments;
}
