import type { TraceEvent } from '@virtio-platform/trace';

/** The way of one buffer. Times in microseconds on the clock of the recorder; `null` where it is not recorded. */
export interface BufferSlice {
  /** Of its `add` event. */
  readonly index: number;
  readonly queue: number;
  /** The number that `add` returned. */
  readonly id: number;
  readonly added: number;
  /** When the device took it out of the ring. */
  readonly popped: number | null;
  /** When the device gave it back. */
  readonly pushed: number | null;
  /** When the driver took it back; `null` where it never did. */
  readonly taken: number | null;
  /** Whether a queue reset gave it back, and not the device. */
  readonly isTakenBack: boolean;
  /** Bytes of all segments, and how many the device said it wrote. */
  readonly bytes: number;
  readonly written: number;
  readonly segments: number;
  /** Its place among those that were outstanding when it was added, from 0. */
  readonly lane: number;
}

/** A slice under way. */
type OpenSlice = { -readonly [Key in keyof BufferSlice]: BufferSlice[Key] };

/**
 * Pairs the events of buffers: `add` with `takeUsed` by the number of the buffer, and with `pop` and `push` by the head
 * descriptor, which is that number on both layouts. A buffer whose `add` is not among the events is left out.
 */
export function bufferSlices(events: readonly TraceEvent[]): readonly BufferSlice[] {
  const slices: OpenSlice[] = [];
  const open = new Map<string, OpenSlice>();
  const lanes = new Map<number, boolean[]>();
  const forgotten = new Set<OpenSlice>();
  let next = events[0]?.index ?? 0;
  for (const { index, kind, queue, id, time, length, extra } of events) {
    if (index !== next) {
      // Of what happened between events that are apart nothing is known: what was open may have ended meanwhile.
      for (const slice of open.values()) forgotten.add(slice);
      open.clear();
      lanes.clear();
    }
    next = index + 1;
    const key = `${queue}:${id}`;
    const slice = open.get(key);
    if (kind === 'add' && id >= 0) {
      const opened = openSlice(
        { index, queue, id, added: time, bytes: length, segments: extra & 0xffff },
        takeLane(lanes, queue),
      );
      slices.push(opened);
      open.set(key, opened);
    } else if (slice === undefined) continue;
    else if (kind === 'pop') slice.popped ??= time;
    else if (kind === 'push') slice.pushed ??= time;
    else if (kind === 'takeUsed' || kind === 'takeBack') {
      slice.taken = time;
      slice.written = length;
      slice.isTakenBack = kind === 'takeBack';
      open.delete(key);
      lanes.get(queue)![slice.lane] = false;
    }
  }
  return forgotten.size === 0 ? slices : slices.filter((slice) => !forgotten.has(slice));
}

function openSlice(
  known: Pick<BufferSlice, 'index' | 'queue' | 'id' | 'added' | 'bytes' | 'segments'>,
  lane: number,
): OpenSlice {
  return { ...known, lane, popped: null, pushed: null, taken: null, isTakenBack: false, written: 0 };
}

/** The first place that is free. */
function takeLane(lanes: Map<number, boolean[]>, queue: number): number {
  const taken = lanes.get(queue) ?? [];
  lanes.set(queue, taken);
  const free = taken.findIndex((isTaken) => !isTaken);
  const lane = free >= 0 ? free : taken.length;
  taken[lane] = true;
  return lane;
}
