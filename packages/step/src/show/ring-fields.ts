import { RING_EVENT_FLAGS_DESC, RING_EVENT_FLAGS_DISABLE, slotOf } from '@virtio-platform/core/queue';
import type { RingView } from '../state/ring-view.ts';
import type { QueueState } from '../state/run-state.ts';

/** A field of a ring for people: its name and what is in it. */
export interface RingField {
  readonly name: string;
  readonly value: string;
}

/** What each side has in the ring's memory, and how far the driver is by its own record. */
export function ringFields(queue: QueueState, view: RingView | undefined, eventIdx: boolean): RingField[] {
  const { available, taken } = queue;
  if (view === undefined) {
    return [
      { name: 'published to', value: String(available & 0x7fff) },
      { name: 'taken to', value: String(taken & 0x7fff) },
    ];
  }
  if (view.packed !== undefined) {
    return [
      { name: 'published to', value: place(available) },
      { name: 'taken to', value: place(taken) },
      { name: 'driver event', value: eventText(view.packed.driverEvent()) },
      { name: 'device event', value: eventText(view.packed.deviceEvent()) },
    ];
  }
  const ring = view.split!;
  const indices = [
    { name: 'avail.idx', value: String(ring.availIdx()) },
    { name: 'used.idx', value: String(ring.usedIdx()) },
    { name: 'taken', value: String(taken) },
  ];
  const events = eventIdx
    ? [
        { name: 'used_event', value: String(ring.usedEvent()) },
        { name: 'avail_event', value: String(ring.availEvent()) },
      ]
    : [
        { name: 'avail.flags', value: String(ring.availFlags()) },
        { name: 'used.flags', value: String(ring.usedFlags()) },
      ];
  return [...indices, ...events];
}

function place(position: number): string {
  return `${slotOf(position)} wrap ${position >>> 15}`;
}

function eventText(event: number): string {
  const flags = event >>> 16;
  if (flags === RING_EVENT_FLAGS_DESC) return place(event & 0xffff);
  return flags === RING_EVENT_FLAGS_DISABLE ? 'never' : 'always';
}
