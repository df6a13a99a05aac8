import { DeviceStatus } from '@virtio-platform/core/device';
import type { BrokenDevice, BrokenRing, Bug } from './broken-device.ts';
import { isFromTable } from './ring-bugs.ts';
import { altered, countingReset } from './register-bugs.ts';

/** AVAIL and USED of a packed slot. */
const EITHER = 0x8080;
const IN_ORDER = 35;

/** The index of the queue of a ring. */
function indexOf(ring: BrokenRing): number {
  return ring.device.rings.indexOf(ring);
}

/** Whether a ring has a buffer that was published and not taken; of a packed one on its first lap. */
function isWaiting(ring: BrokenRing): boolean {
  if (ring.layout === 'split') return ring.driverWord(2) !== (ring.taken & 0xffff);
  for (let slot = 0; slot < ring.size; slot++)
    if ((ring.memory.u16[(ring.descriptors + 16 * slot + 14) / 2]! & EITHER) === 0x80) return true;
  return false;
}

/** Marks the buffers that wait in a ring as used. */
function complete(ring: BrokenRing): void {
  if (ring.layout === 'split') ring.setUsedWord(2, ring.driverWord(2));
  for (let slot = 0; ring.layout === 'packed' && slot < ring.size; slot++) {
    const at = (ring.descriptors + 16 * slot + 14) / 2;
    if ((ring.memory.u16[at]! & EITHER) === 0x80) ring.memory.u16[at]! |= EITHER;
  }
}

/** Loses notifications where `isLost`. */
function losing(name: string, isLost: (queue: number, device: BrokenDevice) => boolean): Bug {
  return {
    name,
    transport: altered((inner, device) => ({
      notify: (queue, next) => {
        if (!isLost(queue, device)) inner.notify(queue, next);
      },
    })),
  };
}

/** Bugs of devices with several queues. */
export const QUEUE_BUGS: readonly Bug[] = [
  {
    name: 'writes to the ring that it had before a reset',
    transport: altered((inner, device) => ({
      enableQueue: (queue, addresses) => {
        const old = device.rings[queue];
        inner.enableQueue(queue, addresses);
        if (old !== undefined && old.taken > 0) old.setUsedWord(0, 0x55aa);
      },
    })),
  },
  {
    name: 'loses a kick of one queue right behind that of another',
    transport: altered((inner) => {
      let last = -1;
      return {
        notify: (queue, next) => {
          const isLost = last >= 0 && last !== queue;
          last = queue;
          if (!isLost) inner.notify(queue, next);
        },
        wait: (milliseconds) => {
          last = -1;
          return inner.wait(milliseconds);
        },
      };
    }),
  },
  {
    name: 'enables no queue in front of one that is enabled',
    transport: altered((inner) => {
      let highest = -1;
      return {
        writeStatus: (status) => {
          if (status === 0) highest = -1;
          inner.writeStatus(status);
        },
        enableQueue: (queue, addresses) => {
          if (queue < highest) return;
          highest = queue;
          inner.enableQueue(queue, addresses);
        },
      };
    }),
  },
  {
    name: 'has one size for all of its queues',
    transport: altered((inner) => {
      let size = 0;
      return {
        writeStatus: (status) => {
          if (status === 0) size = 0;
          inner.writeStatus(status);
        },
        enableQueue: (queue, addresses) => {
          size ||= addresses.size;
          if (addresses.size === size) inner.enableQueue(queue, addresses);
        },
      };
    }),
  },
  losing('serves no queue while another one has a buffer', (queue, device) =>
    device.rings.some((ring, index) => index !== queue && ring !== undefined && isWaiting(ring)),
  ),
  {
    name: 'notifies for its first queue only',
    shown: (ring, isWanted) => isWanted && indexOf(ring) === 0,
  },
  {
    name: 'knows the event of its first queue only',
    shown: (ring, isWanted) => isWanted && (!ring.eventIdx || indexOf(ring) === 0),
  },
  {
    name: 'takes tables on its first queue only',
    taken: (ring, chain) => indexOf(ring) === 0 || !isFromTable(ring, chain),
  },
  {
    name: 'keeps the order of its first queue only',
    shown: (ring, isWanted, slots) => {
      if (slots.length > 0 && indexOf(ring) > 0 && ring.device.accepted?.has(IN_ORDER) === true)
        ring.change(slots[0]!, 'id', -1);
      return isWanted;
    },
  },
  {
    name: 'takes at most 40 buffers of its other queues',
    taken: (ring) => indexOf(ring) === 0 || ring.taken <= 40,
  },
  {
    name: 'stops all of its queues where one is reset',
    transport: altered((inner, device) => ({
      ...countingReset(inner, device),
      notify: (queue, next) => {
        if (device.count === 0) inner.notify(queue, next);
      },
    })),
  },
  {
    name: 'returns what a queue had once it is enabled again',
    transport: altered((inner, device) => {
      let before: BrokenRing | undefined;
      return {
        resetQueue: (queue) => {
          before = device.rings[queue];
          inner.resetQueue(queue);
        },
        enableQueue: (queue, addresses) => {
          if (before !== undefined && isWaiting(before)) complete(before);
          before = undefined;
          inner.enableQueue(queue, addresses);
        },
      };
    }),
  },
  {
    name: 'resumes its first queue only',
    transport: altered((inner, device) => ({
      writeStatus: (status) => {
        if (status === 0) device.count = 0;
        if ((status & DeviceStatus.Suspend) !== 0) device.count = 1;
        inner.writeStatus(status);
      },
    })),
    taken: (ring) => ring.device.count === 0 || indexOf(ring) === 0,
  },
  {
    name: 'crashes at a kick of a queue that is not enabled',
    transport: altered((inner, device) => ({
      notify: (queue, next) => {
        if (inner.isQueueReset(queue)) device.crash();
        inner.notify(queue, next);
      },
    })),
  },
];
