import type { DescriptorChain } from '@virtio-platform/core/queue';
import type { BrokenRing, Bug } from './broken-device.ts';

/** Reads a descriptor of the ring or of a table. */
function read(ring: BrokenRing, at: number): readonly [low: number, length: number, flags: number, next: number] {
  const { u16, u32 } = ring.memory;
  return [u32[at / 4]!, u32[at / 4 + 2]!, u16[at / 2 + 6]!, u16[at / 2 + 7]!];
}

/** Whether a chain came out of an indirect table: none of its segments is a descriptor of the ring. */
export function isFromTable(ring: BrokenRing, chain: DescriptorChain): boolean {
  for (let i = 0; i < ring.size; i++) {
    const [low] = read(ring, ring.descriptors + 16 * i);
    if (low === chain.low[0]) return false;
  }
  return true;
}

/** A chain without its segments from `count` on. */
function cut(chain: DescriptorChain, count: number): void {
  for (let i = count; i < chain.count; i++) {
    if (i < chain.readable) chain.readableBytes -= chain.length[i]!;
    chain.bytes -= chain.length[i]!;
  }
  chain.readable = Math.min(chain.readable, count);
  chain.count = Math.min(chain.count, count);
}

/** Where a segment of a chain is in memory. */
function placeOf(ring: BrokenRing, chain: DescriptorChain, segment: number): number {
  return ring.place(chain.low[segment]!, chain.high[segment]!);
}

/** Writes where no buffer is: behind one that the device has. */
function stray(ring: BrokenRing, at: number): void {
  ring.memory.u8[at] = 0;
}

/** Bugs in taking buffers, following chains and returning them. */
export const RING_BUGS: readonly Bug[] = [
  {
    name: 'returns the id of another buffer',
    shown: (ring, isWanted, slots) => {
      ring.change(slots[0]!, 'id', 1);
      return isWanted;
    },
  },
  {
    name: 'returns a length that counts the readable part',
    returned: (ring, _head, written) => written + (ring.last?.readableBytes ?? 0),
  },
  {
    name: 'returns a length of one byte too many',
    returned: (_ring, _head, written) => written + 1,
  },
  {
    name: 'returns the second buffer of each batch twice',
    shown: (ring, isWanted, slots) => {
      if (slots.length < 2) return isWanted;
      ring.change(slots[1]!, 'id', ring.layout === 'split' ? 0 : 0);
      const { view } = ring.memory;
      const at = (slot: number): number =>
        ring.layout === 'packed' ? ring.descriptors + 16 * slot + 12 : ring.used + 4 + 8 * slot;
      view.setUint16(at(slots[1]!), view.getUint16(at(slots[0]!), true), true);
      return isWanted;
    },
  },
  {
    name: 'keeps the last buffer of a batch',
    taken: (ring) => ring.taken % 6 !== 0,
  },
  {
    name: 'clears the flags of a descriptor that it used',
    shown: (ring, isWanted) => {
      if (ring.layout === 'split') ring.memory.u16[(ring.descriptors + 12) / 2] = 0;
      return isWanted;
    },
  },
  {
    name: 'writes to the driver area',
    shown: (ring, isWanted) => {
      ring.memory.u16[ring.driver / 2]! ^= 1;
      return isWanted;
    },
  },
  {
    name: 'writes to the readable part',
    taken: (ring, chain) => {
      if (chain.readable > 0) stray(ring, placeOf(ring, chain, 0) + 15 - (chain.length[0]! < 16 ? 15 : 0) - 0);
      return true;
    },
    returned: (ring, _head, written) => {
      const { last } = ring;
      if (last !== undefined && last.readable > 0) ring.memory.u8[placeOf(ring, last, 0)]! ^= 0xff;
      return written;
    },
  },
  {
    name: 'writes behind the writable part',
    returned: (ring, _head, written) => {
      const { last } = ring;
      if (last !== undefined && last.count > last.readable)
        stray(ring, placeOf(ring, last, last.count - 1) + last.length[last.count - 1]!);
      return written;
    },
  },
  {
    name: 'writes to a buffer that it returned before',
    shown: (ring, isWanted) => {
      const { last } = ring;
      if (last !== undefined && last.count > last.readable) ring.device.count = placeOf(ring, last, last.count - 1);
      return isWanted;
    },
    taken: ({ device, memory }) => {
      if (device.count > 0) memory.u8[device.count]! ^= 1;
      device.count = 0;
      return true;
    },
  },
  {
    name: 'writes to an indirect table',
    returned: (ring, _head, written) => {
      for (let i = 0; i < ring.size; i++) {
        const at = ring.descriptors + 16 * i;
        const [low, , flags, next] = read(ring, at);
        const isTable = ((ring.layout === 'packed' ? next : flags) & 4) !== 0;
        if (isTable) ring.memory.u8[ring.place(low, ring.memory.u32[at / 4 + 1]!)]! ^= 0xff;
      }
      return written;
    },
  },
  {
    name: 'keeps its used index over a reset',
    shown: (ring, isWanted) => {
      if (ring.layout === 'split' && ring.device.count > 0 && ring.taken === 1)
        ring.setUsedWord(2, ring.device.count + 1);
      ring.device.count = ring.usedWord(2);
      return isWanted;
    },
  },
  {
    name: 'ends with the 15th bit of an index',
    taken: (ring) => ring.taken < 0x8000,
  },
  {
    name: 'ends with the 16th bit of an index',
    taken: (ring) => ring.taken < 0xffff,
  },
  {
    name: 'follows descriptors in the order of the table, not of next',
    taken: (ring, chain) => {
      if (ring.layout !== 'split' || chain.count < 2 || isFromTable(ring, chain)) return true;
      for (let i = 1; i < chain.count; i++) {
        const [low, length] = read(ring, ring.descriptors + 16 * ((chain.head + i) % ring.size));
        chain.low[i] = low;
        chain.length[i] = length;
      }
      return true;
    },
  },
  {
    name: 'takes at most 4 descriptors of a chain',
    taken: (ring, chain) => {
      if (!isFromTable(ring, chain)) cut(chain, 4);
      return true;
    },
  },
  {
    name: 'takes no chain of as many descriptors as the ring has',
    taken: (ring, chain) => chain.count < ring.size || isFromTable(ring, chain),
  },
  {
    name: 'takes one descriptor of a table',
    taken: (ring, chain) => {
      if (isFromTable(ring, chain)) cut(chain, 1);
      return true;
    },
  },
  {
    name: 'takes at most 4 descriptors of a table',
    taken: (ring, chain) => {
      if (isFromTable(ring, chain)) cut(chain, 4);
      return true;
    },
  },
  {
    name: 'takes no table behind descriptors',
    taken: (ring, chain) => {
      const [, , flags] = read(ring, ring.descriptors + 16 * chain.head);
      const isBehind = ring.layout === 'split' && (flags & 4) === 0 && chain.count > 2 && hasTable(ring, chain.head);
      return !isBehind;
    },
  },
  {
    name: 'looks at WRITE of the descriptor that refers to a table',
    taken: (ring, chain) => {
      for (let i = 0; i < ring.size; i++) {
        const [, , flags, next] = read(ring, ring.descriptors + 16 * i);
        const all = ring.layout === 'packed' ? next : flags;
        if ((all & 6) === 6 && isFromTable(ring, chain)) return false;
      }
      return true;
    },
  },
  {
    name: 'forgets tables where a chain came before',
    taken: (ring, chain) => {
      const isTable = isFromTable(ring, chain);
      const wasTable = ring.device.count === 1;
      ring.device.count = isTable ? 1 : 2;
      return !isTable || wasTable || ring.taken === 1;
    },
  },
  {
    name: 'takes only tables once tables are negotiated',
    taken: (ring, chain) => ring.longestChain === ring.size || isFromTable(ring, chain),
  },
  ...[1, 2, 3, 4, 5, 7, 13].map((size): Bug => ({
    name: `serves no ring of ${size}`,
    taken: (ring) => ring.size !== size,
  })),
  {
    name: 'serves no ring of more than 256',
    taken: (ring) => ring.size <= 256,
  },
  {
    name: 'takes at most 100 buffers of a ring',
    taken: (ring) => ring.taken <= 100,
  },
  {
    name: 'loses a list that goes around the end of the ring',
    taken: (ring, chain) => {
      if (ring.layout !== 'packed' || chain.count < 2) return true;
      const first = slotOf(ring, chain.low[0]!);
      const last = slotOf(ring, chain.low[chain.count - 1]!);
      return first < 0 || last < 0 || last > first;
    },
  },
  {
    name: 'returns the id of the first descriptor of a list',
    shown: (ring, isWanted, slots) => {
      if (ring.layout === 'packed' && slots.length > 0) ring.change(slots[0]!, 'id', 0x100);
      return isWanted;
    },
  },
  {
    name: 'does not mark used descriptors as written',
    shown: (ring, isWanted, slots) => {
      if (ring.layout === 'packed')
        for (const slot of slots) ring.memory.u16[(ring.descriptors + 16 * slot + 14) / 2]! &= ~2;
      return isWanted;
    },
  },
  {
    name: 'sets other bits of used.flags',
    asked: (ring) => {
      if (ring.layout === 'split') ring.setUsedWord(0, 2);
    },
  },
  {
    name: 'sets used.flags with EVENT_IDX',
    asked: (ring) => {
      if (ring.layout === 'split' && ring.eventIdx) ring.setUsedWord(0, 1);
    },
  },
  {
    name: 'sets reserved event flags',
    asked: (ring) => {
      if (ring.layout === 'packed') ring.setUsedWord(2, ring.usedWord(2) | 8);
    },
  },
  {
    name: 'asks for a notification at a slot beyond the ring',
    asked: (ring) => {
      if (ring.layout === 'packed' && ring.eventIdx) ring.setUsedWord(0, ring.size + 5);
    },
  },
  {
    name: 'returns buffers of a batch in reverse with IN_ORDER',
    shown: (ring, isWanted, slots) => {
      if (slots.length > 0 && ring.device.accepted?.has(35) === true) ring.change(slots[0]!, 'id', -1);
      return isWanted;
    },
  },
  {
    name: 'returns the first buffer of a batch only with IN_ORDER',
    taken: (ring) => ring.device.accepted?.has(35) !== true || ring.taken % 4 !== 0,
  },
];

function hasTable(ring: BrokenRing, head: number): boolean {
  for (let at = head, seen = 0; seen < ring.size; seen++) {
    const [, , flags, next] = read(ring, ring.descriptors + 16 * at);
    if ((flags & 4) !== 0) return true;
    if ((flags & 1) === 0) return false;
    at = next;
  }
  return false;
}

function slotOf(ring: BrokenRing, low: number): number {
  for (let i = 0; i < ring.size; i++) if (read(ring, ring.descriptors + 16 * i)[0] === low) return i;
  return -1;
}
