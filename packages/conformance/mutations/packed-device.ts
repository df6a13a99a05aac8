import { mutationsOf, type Mutation } from './mutation.ts';

/** Of the device's end of a packed ring. */
export const PACKED_DEVICE: readonly Mutation[] = mutationsOf('core/src/queue/packed/packed-device-queue.ts', [
  {
    name: 'takes a table that was not negotiated',
    cases: ['V15'],
    from: 'if (!this.options.indirect || ',
    to: 'if (',
  },
  {
    name: 'follows a table in a table',
    cases: ['V16', 'V45'],
    from: 'for (let i = 0; i < entries; i++) {',
    to: `for (let i = 0; i < entries; i++) {
      if ((table.next(i) & INDIRECT) !== 0) return this.#walkTable(chain, slot, low, high, bytes, flags);`,
  },
  {
    name: 'writes to a table',
    cases: ['V49'],
    from: 'for (let i = 0; i < entries; i++) {',
    to: 'this.space.write(low, high, new Uint8Array(entries * 16), 0, entries * 16);\n    for (let i = 0; i < entries; i++) {',
  },
  {
    name: 'bounds a table by the queue',
    cases: ['R-06', 'V21'],
    from: 'for (let i = 0; i < entries; i++) {',
    to: 'for (let i = 0; i < this.size; i++) {',
  },
  {
    name: 'refuses WRITE on the descriptor of a table',
    cases: ['V23'],
    from: '|| (flags & NEXT) !== 0)',
    to: '|| (flags & (NEXT | WRITE)) !== 0)',
  },
  {
    name: 'reads flags twice',
    cases: ['V26'],
    from: 'if ((flags & NEXT) === 0) {',
    to: 'if ((ring.flags(slot) & NEXT) === 0) {',
  },
  {
    name: 'takes areas that are misaligned',
    cases: ['V28'],
    from: 'if (words[0]! % 16 !== 0 || words[2]! % 4 !== 0 || words[4]! % 4 !== 0)',
    to: 'if (words[0]! < 0)',
  },
  {
    name: 'takes a queue of any size',
    cases: ['V29'],
    from: 'if (!Number.isInteger(size) || size < 1 || size > 32768)',
    to: 'if (!Number.isInteger(size) || size < 0)',
  },
  {
    name: 'goes where the event index says',
    cases: ['V32'],
    from: 'this.#isHolding = false;\n    return',
    to: 'this.#isHolding = false;\n    if (this.options.eventIdx) this.usedPosition = ring.driverEvent() & 0xffff;\n    return',
  },
  {
    name: 'makes used flags out of those in the ring',
    cases: ['V33'],
    from: 'ring.publishFlags(this.#heldSlot, this.#heldFlags);',
    to: 'ring.publishFlags(this.#heldSlot, (ring.flags(this.#heldSlot) & 0x7f7f) | (this.#heldFlags & 0x8080));',
  },
  {
    name: 'relies on ids that are in order',
    cases: ['V36'],
    from: 'const id = chain.head;',
    to: 'const id = chain.head;\n    if (this.options.inOrder === true) chain.head = this.inFlight;',
  },
  {
    name: 'has more in flight than the queue',
    cases: ['V37'],
    from: 'if (this.inFlightSlots + slots > this.size) {',
    to: 'if (this.inFlightSlots + slots > 0xffff) {',
  },
  {
    name: 'takes a list of which a part is missing',
    cases: ['V38', 'V39', 'R-15'],
    from: 'if ((flags & BOTH_MARKS) !== marks)',
    to: 'if (flags === 0x12345)',
  },
  {
    name: 'takes an id beyond the queue',
    cases: ['V27', 'V42'],
    from: 'if (id >= this.size)',
    to: 'if (id > 0xffffff)',
  },
  {
    name: 'takes an id twice',
    cases: ['V42'],
    from: 'if (this.slots[id] !== 0)',
    to: 'if (this.slots[id] === 0xffff)',
  },
  {
    name: 'takes the id of a list from its first descriptor',
    cases: ['V38', 'V42', 'R-15'],
    from: 'slots === 1 ? ring.id(slot) : tail & 0xffff',
    to: 'ring.id(slotOf(this.#availPosition))',
  },
  {
    name: 'lets a list go round its queue',
    cases: ['V43', 'V48'],
    from: 'if (slots === size)',
    to: 'if (slots === 0x1_0000)',
  },
  {
    name: 'takes a table in a list',
    cases: ['V44'],
    from: "if ((flags & INDIRECT) !== 0) return this.#refuse('indirect-table-invalid', 'a table in a list of descriptors');",
    to: '',
  },
  {
    name: 'takes INDIRECT with NEXT',
    cases: ['V44'],
    from: '|| (flags & NEXT) !== 0)',
    to: ')',
  },
  {
    name: 'ends a table at the first entry without NEXT',
    cases: ['V46'],
    from: 'if (problem !== undefined) return this.breakAt(problem, i, length, chain);',
    to: 'if (problem !== undefined) return this.breakAt(problem, i, length, chain);\n      if ((table.next(i) & NEXT) === 0) break;',
  },
  {
    name: 'reads a table in the format of a split ring',
    cases: ['V46', 'V23', 'V45'],
    from: '(table.next(i) & WRITE)',
    to: '(table.flags(i) & WRITE)',
  },
  {
    name: 'notifies about every buffer',
    cases: ['R-10'],
    from: 'return packedNeedsNotification(ring.driverEvent(), this.usedPosition, moved, this.size, this.options.eventIdx);',
    to: 'return true;',
  },
  {
    name: 'shows the first buffer of a batch too early',
    cases: [],
    from: 'if (this.#isHolding) return ring.writeUsedWhole',
    to: 'return ring.writeUsedWhole',
  },
  {
    name: 'loses WRITE in a used descriptor',
    cases: ['R-15'],
    from: 'usedFlags(position) | (written > 0 ? WRITE : 0);',
    to: 'usedFlags(position);',
  },
]);
