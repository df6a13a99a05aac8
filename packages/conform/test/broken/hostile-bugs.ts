import type { BrokenCode, DescriptorChain } from '@virtio-platform/core/queue';
import type { BrokenRing, Bug } from './broken-device.ts';

/** Rules of a ring that a driver can break, and what becomes of a device that does not look. */
const CODES: readonly BrokenCode[] = [
  'available-index-out-of-range',
  'descriptor-index-out-of-range',
  'descriptor-not-available',
  'descriptor-chain-too-long',
  'descriptor-length-invalid',
  'descriptor-order-invalid',
  'indirect-table-invalid',
  'ring-unreachable',
];

/** Crashes where a chain that was taken is of some kind. */
function crashesAt(name: string, isSo: (chain: DescriptorChain, ring: BrokenRing) => boolean): Bug {
  return {
    name: `crashes at ${name}`,
    taken: (ring, chain) => {
      if (isSo(chain, ring)) ring.device.crash();
      return true;
    },
  };
}

/** Whether a writable segment reaches into a run of memory. */
function writesInto(chain: DescriptorChain, ring: BrokenRing, start: number, bytes: number): boolean {
  for (let i = chain.readable; i < chain.count; i++) {
    const at = ring.place(chain.low[i]!, chain.high[i]!);
    if (at >= 0 && at < start + bytes && at + chain.length[i]! > start) return true;
  }
  return false;
}

/** Devices that do not survive a driver that breaks the rules. */
export const HOSTILE_BUGS: readonly Bug[] = [
  ...CODES.map((code): Bug => ({
    name: `does not check: ${code}`,
    idle: (ring) => {
      if (ring.broken?.code === code) ring.device.crash();
    },
  })),
  {
    name: 'waits for ever after the ring broke',
    idle: (ring) => {
      if (ring.broken !== undefined) ring.device.wedge();
    },
  },
  {
    name: 'writes to memory that it was never given after the ring broke',
    idle: (ring) => {
      const { untouched } = ring.memory;
      if (ring.broken !== undefined) ring.memory.u8[untouched[0]!.address + 100] = 1;
    },
  },
  {
    name: 'writes to the descriptors after the ring broke',
    idle: (ring) => {
      if (ring.broken !== undefined) ring.memory.u8[ring.descriptors - 3] = 1;
    },
  },
  {
    name: 'crashes at a buffer that comes again',
    taken: (ring, chain) => {
      const isAgain = ring.taken > 1 && ring.device.count === chain.low[0];
      ring.device.count = chain.low[0]!;
      if (isAgain) ring.device.crash();
      return true;
    },
  },
  crashesAt('a request without a header', (chain) => chain.readableBytes < 16),
  crashesAt('a request without room for a status', (chain) => chain.writableBytes === 0),
  crashesAt('a buffer that is the ring', (chain, ring) => writesInto(chain, ring, ring.descriptors, 16 * ring.size)),
  crashesAt('a buffer that is the device area', (chain, ring) => writesInto(chain, ring, ring.used, 4)),
  crashesAt('a buffer where nothing is', (chain, ring) => {
    const { space } = ring.device;
    for (let i = 0; i < chain.count; i++)
      if (space!.borrow(chain.low[i]!, chain.high[i]!, chain.length[i]!, 'read') < 0) return true;
    return false;
  }),
  crashesAt('an event far away', (_chain, ring) => {
    if (!ring.eventIdx) return false;
    if (ring.layout === 'packed') return ring.driverWord(2) > 2 || (ring.driverWord(0) & 0x7fff) >= ring.size;
    return ((ring.driverWord(4 + 2 * ring.size) - ring.taken) & 0xffff) > 0x4000;
  }),
  crashesAt(
    'an event of another lap',
    (_chain, ring) => ring.layout === 'packed' && ring.driverWord(2) === 2 && ring.driverWord(0) === 5,
  ),
  crashesAt(
    'a used index that is not its own',
    (_chain, ring) => ring.layout === 'split' && ring.usedWord(2) - ring.taken > 100 && ring.taken < 100,
  ),
  crashesAt('heads that are out of order', (chain, ring) => {
    const isInOrder = ring.device.accepted?.has(35) === true;
    return isInOrder && ring.layout === 'split' && ring.taken === 2 && chain.head === 9;
  }),
  crashesAt('flags beside WRITE in a table', (chain, ring) =>
    tableHas(chain, ring, (id, flags) => id === 99 && flags > 3),
  ),
  crashesAt('a table in the other format', (chain, ring) =>
    tableHas(chain, ring, (id, flags) => flags === 1 && id > 0),
  ),
  {
    name: 'crashes at a table that is the ring',
    taken: (ring) => {
      if (refersToItself(ring)) ring.device.crash();
      return true;
    },
    idle: (ring) => {
      if (refersToItself(ring)) ring.device.crash();
    },
  },
  {
    name: 'takes descriptors of which AVAIL and USED are both set',
    idle: (ring) => rewrites(ring, 0x8080),
  },
  {
    name: 'takes descriptors of which AVAIL and USED are both clear',
    idle: (ring) => rewrites(ring, 0, 5),
  },
  {
    name: 'takes descriptors of another lap',
    idle: (ring) => rewrites(ring, 0x8000, 6),
  },
];

/** Rewrites slots of which AVAIL and USED are `bits`, as if they had been used. */
function rewrites(ring: BrokenRing, bits: number, id = 5): void {
  if (ring.layout !== 'packed' || ring.taken === 0) return;
  const { u16 } = ring.memory;
  for (let slot = 0; slot < ring.size; slot++) {
    const at = (ring.descriptors + 16 * slot + 12) / 2;
    if (u16[at] !== id || (u16[at + 1]! & 0x8080) !== bits) continue;
    u16[at + 1] = 0x8080 ^ bits;
    u16[at] = 0;
  }
}

/** Whether a table of a packed ring has an entry with an id and flags. */
function tableHas(_chain: DescriptorChain, ring: BrokenRing, isSo: (id: number, flags: number) => boolean): boolean {
  if (ring.layout !== 'packed') return false;
  const { u16, u32 } = ring.memory;
  for (let slot = 0; slot < ring.size; slot++) {
    const at = ring.descriptors + 16 * slot;
    if ((u16[at / 2 + 7]! & 4) === 0) continue;
    const table = ring.place(u32[at / 4]!, u32[at / 4 + 1]!);
    for (let entry = table; entry < table + u32[at / 4 + 2]!; entry += 16)
      if (isSo(u16[entry / 2 + 6]!, u16[entry / 2 + 7]!)) return true;
  }
  return false;
}

/** Whether a descriptor of the ring refers to the ring as a table. */
function refersToItself(ring: BrokenRing): boolean {
  const { u16, u32 } = ring.memory;
  for (let slot = 0; slot < ring.size; slot++) {
    const at = ring.descriptors + 16 * slot;
    const flags = u16[at / 2 + (ring.layout === 'packed' ? 7 : 6)]!;
    if ((flags & 4) !== 0 && ring.place(u32[at / 4]!, u32[at / 4 + 1]!) === ring.descriptors) return true;
  }
  return false;
}
