import { slotOf } from '@virtio-platform/core/queue';
import type { TraceEvent } from '@virtio-platform/trace';

/** The slots that a buffer takes: descriptors of a packed ring, an entry of the available ring of a split one. */
export interface SlotPlace {
  readonly slot: number;
  readonly slots: number;
}

/** What is known of one queue while its events are read. */
interface QueueState {
  size: number;
  /** Position up to which buffers were published. */
  position: number;
  /** Since the last publication: the index of the event, and segments. */
  pending: { readonly index: number; readonly segments: number }[];
}

/**
 * Where each buffer stands in its ring, by the index of its `add` event: `publish` tells the position up to which the
 * driver has made buffers available. Buffers of which that is not known are left out.
 */
export function slotPlaces(events: readonly TraceEvent[], layout: 'split' | 'packed'): ReadonlyMap<number, SlotPlace> {
  const places = new Map<number, SlotPlace>();
  const queues = new Map<number, QueueState>();
  let next = events[0]?.index ?? 0;
  for (const { index, kind, queue, id, extra } of events) {
    if (index !== next) for (const state of queues.values()) forget(state);
    next = index + 1;
    if (kind === 'enableQueue') queues.set(queue, { size: extra, position: 0, pending: [] });
    const state = queues.get(queue);
    if (state === undefined) continue;
    if (kind === 'resetQueue') forget(state);
    else if (kind === 'add' && id >= 0) state.pending.push({ index, segments: extra & 0xffff });
    else if (kind === 'publish') place(places, state, layout === 'packed' ? slotOf(extra) : extra % state.size);
  }
  return places;
}

function place(places: Map<number, SlotPlace>, state: QueueState, position: number): void {
  const { size, pending, position: before } = state;
  const segments = pending.reduce((sum, each) => sum + each.segments, 0);
  const isKnown = before >= 0 && pending.length > 0;
  const distance = (position - before + size) % size;
  // A ring that was filled at once ends where it began.
  const taken = distance === 0 ? size : distance;
  const bySegments = taken === segments;
  if (isKnown && (taken === pending.length || bySegments)) {
    let slot = before;
    for (const { index, segments: own } of pending) {
      const slots = taken === pending.length ? 1 : own;
      places.set(index, { slot: slot % size, slots });
      slot += slots;
    }
  }
  state.position = position;
  state.pending = [];
}

/** After events that are not known. */
function forget(state: QueueState): void {
  state.position = -1;
  state.pending = [];
}
