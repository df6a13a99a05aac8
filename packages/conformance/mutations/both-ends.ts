import { mutationsOf, type Mutation } from './mutation.ts';

const outstanding: readonly Mutation[] = mutationsOf('core/src/queue/driver/outstanding-buffers.ts', [
  {
    name: 'takes a buffer back that was not published',
    cases: ['D03'],
    from: '&& ((heads[at + ADDED_AT]! - published) | 0) < 0',
    to: '',
  },
  {
    name: 'remembers a buffer after it came back',
    cases: ['D04', 'M8'],
    from: 'heads[at + PLACE] = NOT_A_HEAD;\n      heads[at + FREED_AT] = freed;',
    to: '',
  },
  {
    name: 'keeps the room of the first buffer that had an id',
    cases: ['D06'],
    from: 'heads[at + WRITABLE] = list.writableBytes;',
    to: 'if (heads[at + SHAPE] === NOTHING_DESCRIBED) heads[at + WRITABLE] = list.writableBytes;',
  },
  {
    name: 'takes a whole segment for written',
    cases: ['D13', 'D46'],
    from: 'const here = written < writable ? written : writable;',
    to: 'const here = writable;',
  },
  {
    name: 'takes written bytes from readable segments',
    cases: ['D19', 'R-05'],
    from: 'const writable = i < readable ? 0 : entries[at + LENGTH]!;',
    to: 'const writable = entries[at + LENGTH]!;',
  },
  {
    name: 'leaves a buffer mapped that came back',
    cases: ['R-12', 'R-14', 'M8'],
    from: 'this.#mapping.unmap(id, here);',
    to: '',
  },
  {
    name: 'forgets at a reset what is outstanding',
    cases: ['D45', 'R-12', 'R-13'],
    from: 'for (const head of heads) this.#unmapBuffer(head, 0);',
    to: '',
  },
  {
    name: 'remembers over a reset what was outstanding',
    cases: [],
    from: 'this.#heads[at + PLACE] = NOT_A_HEAD;',
    to: '',
  },
  {
    name: 'takes neighbours in memory for neighbours in the view of the device',
    cases: ['M4'],
    from: 'direction, list.words, i * 2);',
    to: `direction, list.words, i * 2);
        const isNeighbour = i > 0 && list.address[i - 1]! + list.length[i - 1]! === list.address[i];
        if (isNeighbour) list.words[i * 2] = list.words[i * 2 - 2]! + list.length[i - 1]!;`,
  },
  {
    name: 'takes device address 0 for "not mapped"',
    cases: ['M5'],
    from: 'this.entries[entry * ENTRY_WORDS + MAPPED] = id;',
    to: `const isZero = (list.words[i * 2]! | list.words[i * 2 + 1]!) === 0;
        this.entries[entry * ENTRY_WORDS + MAPPED] = isZero ? NOT_MAPPED : id;`,
  },
  {
    name: 'leaves the segments in a table mapped',
    cases: ['R-14'],
    from: 'let entry = isIndirect ? this.tableEntry(head, 0) : head;\n    for',
    to: 'if (isIndirect) return;\n    let entry = head;\n    for',
  },
  {
    name: 'maps what is premapped',
    cases: ['R-14'],
    from: 'if (list.premapped[i] !== 1) {',
    to: 'if (list.premapped[i] !== 2) {',
  },
  {
    name: 'takes an id beyond the queue',
    cases: ['D01', 'D30'],
    from: 'const at = id * HEAD_WORDS;\n      const isOutstanding = id < size &&',
    to: 'const at = (id % size) * HEAD_WORDS;\n      const isOutstanding =',
  },
  {
    name: 'takes an id that is not outstanding',
    cases: ['D03', 'D04', 'D05', 'D28', 'D32', 'D43'],
    from: 'const isOutstanding = id < size && isReturnable(heads, at, published);',
    to: 'const isOutstanding = id < size;',
  },
  {
    name: 'takes a batch that ends with what is not outstanding',
    cases: ['D39'],
    from: 'if (id >= this.#size || !this.isOutstanding(id)) {',
    to: 'if (id > 0xffffff) {',
  },
  {
    name: 'takes skipped buffers for empty',
    cases: ['D42'],
    from: 'isEnd ? this.#batchLength : this.writableOf(head);',
    to: 'isEnd ? this.#batchLength : 0;',
  },
  {
    name: 'does not undo a failed mapping',
    cases: ['M1'],
    from: 'return this.#undo(i, isIndirect, id);',
    to: 'return isIndirect ? this.#undo(i, true, id) : id;',
  },
  {
    name: 'does not undo a failed mapping in a table',
    cases: ['M1', 'R-04'],
    from: 'return this.#undo(i, isIndirect, id);',
    to: 'return isIndirect ? id : this.#undo(i, false, id);',
  },
  {
    name: 'believes any used length',
    cases: ['D09', 'D10', 'D11', 'D12', 'D34'],
    from: "return policy === 'strict' ? -1 : writable;",
    to: 'return length;',
  },
  {
    name: 'does not cut a length that it should',
    cases: ['D14'],
    from: "return policy === 'strict' ? -1 : writable;",
    to: "return policy === 'strict' ? -1 : length;",
  },
  {
    name: 'breaks over every length that is too large',
    cases: ['D14'],
    from: "return policy === 'strict' ? -1 : writable;",
    to: 'return -1;',
  },
  { name: 'believes a legacy device', cases: ['D14'], from: "if (policy === 'ignore') return writable;", to: '' },
]);

const chain: readonly Mutation[] = mutationsOf('core/src/queue/device/descriptor-chain.ts', [
  {
    name: 'lets a chain be longer than the queue',
    cases: ['V05', 'V06'],
    from: "if (at === limit || at === this.capacity) return 'descriptor-chain-too-long';",
    to: "if (at > 4 * limit) return 'descriptor-chain-too-long';",
  },
  {
    name: 'refuses a chain of exactly the queue',
    cases: ['V07'],
    from: 'if (at === limit ||',
    to: 'if (at === limit - 1 ||',
  },
  { name: 'takes a segment without bytes', cases: ['V08'], from: 'if (length === 0 ||', to: 'if (' },
  {
    name: 'takes a length for a signed number',
    cases: ['V09'],
    from: 'this.length = new Uint32Array(capacity);',
    to: 'this.length = new Int32Array(capacity) as unknown as Uint32Array;',
  },
  { name: 'lets an address wrap', cases: ['V10'], from: 'length === 0 || wraps ||', to: 'length === 0 ||' },
  { name: 'takes a chain of more than 4 GiB', cases: ['V11'], from: '|| wraps || isTooLong', to: '|| wraps' },
  {
    name: 'lets readable follow writable',
    cases: ['V13'],
    from: "if (this.readable !== at) return 'descriptor-order-invalid';",
    to: '',
  },
]);

const notification: readonly Mutation[] = mutationsOf('core/src/queue/ring/notification.ts', [
  {
    name: 'compares event indices as numbers',
    cases: ['D24', 'V34'],
    from: 'return ((current - event - 1) & 0xffff) < ((current - previous) & 0xffff);',
    to: 'return current > event;',
  },
  {
    name: 'takes a full queue for none',
    cases: ['D25'],
    from: '< ((current - previous) & 0xffff);',
    to: '< ((current - previous) & 0x7fff);',
  },
]);

const packedLayout: readonly Mutation[] = mutationsOf('core/src/queue/packed/packed-layout.ts', [
  {
    name: 'does not turn the wrap counter at the end',
    cases: ['R-01', 'R-03', 'D38', 'V48'],
    from: 'return slot < size ?',
    to: 'return slot <= size ?',
  },
  {
    name: 'takes any lap for used',
    cases: ['D29'],
    from: 'return (flags & (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)) === usedFlags(position);',
    to: 'return ((flags >> 7) & 1) === ((flags >> 15) & 1);',
  },
  {
    name: 'takes AVAIL alone for available',
    cases: ['V40'],
    from: 'return (flags & (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)) === availableFlags(position);',
    to: 'return (flags & VIRTQ_DESC_F_AVAIL) !== 0;',
  },
  {
    name: 'takes any lap for available',
    cases: ['V41'],
    from: 'return (flags & (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)) === availableFlags(position);',
    to: 'return ((flags >> 7) & 1) !== ((flags >> 15) & 1);',
  },
  {
    name: 'heeds events without EVENT_IDX',
    cases: ['D36'],
    from: 'if (flags !== RING_EVENT_FLAGS_DESC || !eventIdx) return true;',
    to: 'if (flags !== RING_EVENT_FLAGS_DESC) return true;',
  },
  {
    name: 'takes any bit of the event flags for itself',
    cases: ['D22', 'D36'],
    from: 'const flags = (event >>> 16) & 3;',
    to: 'const flags = event >>> 16;',
  },
  {
    name: 'tests event flags as bits',
    cases: ['V47', 'D36', 'R-15'],
    from: 'if (flags === RING_EVENT_FLAGS_DISABLE) return false;',
    to: 'if ((flags & RING_EVENT_FLAGS_DISABLE) !== 0) return false;',
  },
  {
    name: 'takes an event of any lap',
    cases: ['V47', 'D36', 'D24', 'V34', 'R-15'],
    from: '(isOfThisLap ? 0 : size)',
    to: '0',
  },
  {
    name: 'takes a difference of places for a truth value',
    cases: ['R-15', 'D24'],
    from: 'return needsNotification(eventSlot, slot, slot - moved);',
    to: 'return needsNotification(eventSlot, slot, slot - Number(moved > 0));',
  },
  {
    name: 'lets a queue have any number of entries',
    cases: ['D44'],
    from: 'if (!Number.isInteger(size) || size < 1 || size > 32768) {',
    to: 'if (!Number.isInteger(size)) {',
  },
]);

const sharedFields: readonly Mutation[] = [
  ...mutationsOf('core/src/queue/split/split-ring.ts', [
    {
      name: 'reads used.idx without any order',
      cases: ['D27'],
      from: 'return Atomics.load(this.#u16, this.#used16 + 1);',
      to: 'return this.#u16[this.#used16 + 1]!;',
    },
  ]),
  ...mutationsOf('core/src/queue/packed/packed-ring.ts', [
    {
      name: 'reads flags without any order',
      cases: ['D27'],
      from: 'return Atomics.load(this.#u16, this.#id + slot * 8 + 1);',
      to: 'return this.#u16[this.#id + slot * 8 + 1]!;',
    },
    {
      name: "reads the device's event in two halves",
      cases: ['D36'],
      from: 'return Atomics.load(this.#u32, this.#device);',
      to: 'return this.#u16[this.#device * 2]! | (this.#u16[this.#device * 2 + 1]! << 16);',
    },
    {
      name: "reads the driver's event in two halves",
      cases: ['V47'],
      from: 'return Atomics.load(this.#u32, this.#driver);',
      to: 'return this.#u16[this.#driver * 2]! | (this.#u16[this.#driver * 2 + 1]! << 16);',
    },
  ]),
  ...mutationsOf('core/src/queue/split/split-layout.ts', [
    {
      name: 'lets a queue have any number of entries',
      cases: ['D44'],
      from: 'if (!Number.isInteger(size) || size < 1 || size > 32768 || (size & (size - 1)) !== 0) {',
      to: 'if (!Number.isInteger(size)) {',
    },
  ]),
];

const memoryOfQueue: readonly Mutation[] = [
  ...mutationsOf('core/src/queue/device/borrowed-ring.ts', [
    {
      name: 'uses addresses that change after they were checked',
      cases: ['V30'],
      from: 'words: addresses.words.slice() };',
      to: 'words: addresses.words };',
    },
    {
      name: 'uses areas that it cannot reach',
      cases: ['V28'],
      from: 'if (descriptor < 0 || driver < 0 || device < 0) return',
      to: 'if (descriptor < -1) return',
    },
  ]),
  ...mutationsOf('core/src/queue/driver/ring-memory.ts', [
    {
      name: 'keeps a ring whose tables have no memory',
      cases: ['R-04', 'R-12'],
      from: 'this.ring.release();\n      throw',
      to: 'throw',
    },
  ]),
  ...mutationsOf('core/src/queue/driver/scatter-list.ts', [
    {
      name: 'cuts a length to 32 bits',
      cases: ['R-11'],
      from: '|| bytes > MAX_REQUEST_BYTES)',
      to: '|| bytes >>> 0 > MAX_REQUEST_BYTES)',
    },
  ]),
];

const inOrder: readonly Mutation[] = mutationsOf('core/src/queue/device/in-flight-order.ts', [
  {
    name: 'skips a buffer that was not filled',
    cases: [],
    from: 'const isFull = written === this.#writable[this.#oldest];',
    to: 'const isFull = true;',
  },
  {
    name: 'returns buffers in any order',
    cases: [],
    from: 'if (this.#count === 0 || this.#ids[this.#oldest] !== id)',
    to: 'if (this.#count === 0)',
  },
]);

const ends: readonly Mutation[] = [
  ...mutationsOf('core/src/queue/driver/driver-end.ts', [
    {
      name: 'gives buffers back to their owner when the device is given up, before any reset',
      cases: ['D45', 'M7'],
      from: 'this.#broken = reason;',
      to: 'this.#broken = reason;\n    this.buffers.removeAll();',
    },
    {
      name: 'keeps the ring as it was over a reset',
      cases: ['R-12', 'R-13'],
      from: 'this.clearRing();',
      to: '',
    },
  ]),
  ...mutationsOf('core/src/queue/device/device-end.ts', [
    {
      name: 'takes a table of any length',
      cases: ['V18'],
      from: '!Number.isInteger(entries) || entries === 0 ||',
      to: '',
    },
    {
      name: 'takes a table longer than it has room for',
      cases: ['V21'],
      from: 'entries === 0 || entries > this.longestChain',
      to: 'entries === 0',
    },
    {
      name: 'refuses a table longer than the queue',
      cases: ['V21'],
      from: 'entries === 0 || entries > this.longestChain',
      to: 'entries === 0 || entries > this.size',
    },
    {
      name: 'goes on with a table that it could not read',
      cases: ['V19', 'R-07'],
      from: 'if (!this.space.read(low, high, this.#tableBytes, 0, bytes)) {',
      to: 'if (this.space.read(low, high, this.#tableBytes, 0, bytes) === undefined) {',
    },
    {
      name: 'writes the used entry of a batch over one that has to be seen',
      cases: [],
      from: 'if (order.isHeldFinal) this.#writeHeld(ring, order);',
      to: '',
    },
    {
      name: 'returns a buffer twice',
      cases: [],
      from: 'this.slots[id] = 0;',
      to: '',
    },
  ]),
];

/** Of what the queues of both layouts, or both ends of one, have in common. */
export const BOTH_ENDS: readonly Mutation[] = [
  ...outstanding,
  ...ends,
  ...chain,
  ...notification,
  ...packedLayout,
  ...sharedFields,
  ...memoryOfQueue,
  ...inOrder,
];
