import type { BenchSegment } from './bench-memory.ts';
import type { ConformBench } from './conform-bench.ts';
import type { ConformRing } from './conform-ring.ts';

/** Buffers that a queue gets at most. */
const MOST_BUFFERS = 8;

/** The buffers that {@link feedRing} gave, by the ring that has them. */
const FED = new WeakMap<ConformRing, Map<number, BenchSegment>>();

/**
 * Gives a queue on which a device says something writable buffers of so many bytes, and gives them again as they come
 * back; `hear` is called with what is in them. Does nothing where the queue is not enabled. The device is asked not to
 * notify of them. For `DeviceCases.attend`.
 */
export function feedRing(
  bench: ConformBench,
  queue: number,
  bytes: number,
  hear?: (message: Uint8Array) => void,
): void {
  if (!bench.enabled.includes(queue)) return;
  const ring = bench.ring(queue);
  let buffers = FED.get(ring);
  let given = 0;
  const give = (segment: BenchSegment): void => {
    buffers!.set(ring.add([segment]), segment);
    given++;
  };
  if (buffers === undefined) {
    FED.set(ring, (buffers = new Map()));
    for (let i = 0; i < Math.min(ring.size, MOST_BUFFERS); i++)
      give({ buffer: bench.allocate(`a buffer of queue ${queue}`, bytes, 64), isWritable: true });
  }
  for (let i = 0, used = ring.take(); used !== undefined && i <= MOST_BUFFERS; i++, used = ring.take()) {
    const segment = buffers.get(used.id);
    buffers.delete(used.id);
    if (segment === undefined) continue;
    hear?.(segment.buffer.read(0, Math.min(bytes, used.length)));
    give(segment);
  }
  if (given === 0) return;
  ring.wantNotifications(false);
  ring.publish();
  ring.kick();
}
