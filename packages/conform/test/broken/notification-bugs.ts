import type { BrokenRing, Bug } from './broken-device.ts';

/** used_event of a split ring, or the position of the driver's event structure. */
function event(ring: BrokenRing): number {
  return ring.driverWord(ring.layout === 'split' ? 4 + 2 * ring.size : 0);
}

/** Bugs in notifications, of both directions. */
export const NOTIFICATION_BUGS: readonly Bug[] = [
  { name: 'never notifies', shown: () => false },
  { name: 'always notifies', shown: () => true },
  {
    name: 'notifies of the first 10 used entries only',
    shown: (ring, isWanted) => isWanted && ring.taken < 10,
  },
  {
    name: 'stops to notify once it was suppressed',
    shown: (ring, isWanted) => {
      if (!isWanted) ring.device.count = -1;
      else if (ring.taken === 1) ring.device.count = 0;
      return isWanted && ring.device.count >= 0;
    },
  },
  {
    name: 'obeys used_event without EVENT_IDX',
    shown: (ring, isWanted) => isWanted && (ring.eventIdx || event(ring) === 0 || event(ring) === ring.taken),
  },
  {
    name: 'obeys avail.flags with EVENT_IDX',
    shown: (ring, isWanted) =>
      isWanted && !(ring.eventIdx && ring.layout === 'split' && (ring.driverWord(0) & 1) === 1),
  },
  {
    name: 'notifies of every second event',
    shown: (ring, isWanted) => isWanted && !(ring.eventIdx && ring.taken % 2 === 1),
  },
  {
    name: 'looks at the event of the last used entry of a batch only',
    shown: (ring, isWanted, slots) => isWanted && !(ring.eventIdx && slots.length > 1),
  },
  {
    name: 'compares the event as a number that does not wrap',
    shown: (ring, isWanted) => isWanted && !(ring.eventIdx && ring.layout === 'split' && event(ring) === 0xffff),
  },
  {
    name: 'suppresses kicks for good after the first buffer',
    asked: (ring) => {
      if (ring.taken > 0 && ring.layout === 'split' && !ring.eventIdx) ring.setUsedWord(0, 1);
      if (ring.taken > 0 && ring.layout === 'packed') ring.setUsedWord(2, 1);
    },
  },
  {
    name: 'leaves its event behind',
    asked: (ring) => {
      if (!ring.eventIdx || ring.taken === 0) return;
      if (ring.layout === 'split') ring.setUsedWord(4 + 8 * ring.size, (ring.taken + 0x4000) & 0xffff);
      else ring.setUsedWord(2, 1);
    },
  },
  {
    name: 'takes a buffer that was not published',
    idle: (ring) => {
      if (ring.taken > 0 && ring.layout === 'split') ring.setUsedWord(2, ring.usedWord(2) + 1);
      if (ring.taken > 0 && ring.layout === 'packed') {
        const { u16 } = ring.memory;
        for (let slot = 0; slot < ring.size; slot++) u16[(ring.descriptors + 16 * slot + 14) / 2] = 0x8080;
      }
    },
  },
];
