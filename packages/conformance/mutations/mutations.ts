/** One check of the rings taken out, or one rule of them broken, as a replacement in a source file of the core. */
export interface Mutation {
  /** What a ring does without it. */
  readonly name: string;
  /** Below packages/core/src/queue. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const split = 'split-virtqueue.ts';
const packed = 'packed-virtqueue.ts';
const splitDevice = 'split-device-queue.ts';
const packedDevice = 'packed-device-queue.ts';
const buffers = 'outstanding-buffers.ts';
const chain = 'descriptor-chain.ts';
const layout = 'packed-layout.ts';

/** What the error says when a mutation no longer fits the source. */
export const MISPLACED = 'its source is not there just once';

/** Every mutation is found by a test; `run-mutations.ts` proves it. */
export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'D01 split takes an id beyond the queue',
    file: split,
    from: 'if (id >= this.size) return',
    to: 'if (id > 0xffffff) return',
  },
  {
    name: 'D03 D04 split takes an id that is not outstanding',
    file: split,
    from: "if (!this.#buffers.isOutstanding(id, this.#publishedIdx)) {\n      return this.#break('used-id-not-outstanding', `used id ${id} is not outstanding`);\n    }\n    const writable",
    to: 'const writable',
  },
  {
    name: 'D07 D08 split lets used.idx go anywhere',
    file: split,
    from: 'if (arrived > this.#published()) {',
    to: 'if (arrived > 0xffff) {',
  },
  {
    name: 'D09 a used length may be anything',
    file: 'virtqueue.ts',
    from: "return policy === 'strict' ? -1 : writable;",
    to: 'return length;',
  },
  {
    name: 'D14 a clamped length is not',
    file: 'virtqueue.ts',
    from: "return policy === 'strict' ? -1 : writable;",
    to: "return policy === 'strict' ? -1 : length;",
  },
  {
    name: 'a legacy length is believed',
    file: 'virtqueue.ts',
    from: "if (policy === 'ignore') return writable;",
    to: '',
  },
  {
    name: 'an unpublished buffer may come back',
    file: buffers,
    from: '&& ((this.#heads[at + ADDED_AT]! - published) | 0) < 0',
    to: '',
  },
  { name: 'M1 a failed mapping is not undone', file: split, from: 'buffers.undo(i, false);', to: '' },
  { name: 'M1 a failed mapping in a table is not undone', file: split, from: 'buffers.undo(i, true);', to: '' },
  { name: 'M1 packed does not undo a failed mapping', file: packed, from: 'buffers.undo(i, false);', to: '' },
  { name: 'M1 packed does not undo a failed mapping in a table', file: packed, from: 'buffers.undo(i, true);', to: '' },
  { name: 'a removed buffer stays mapped', file: buffers, from: 'this.#mapping.unmap(id, here);', to: '' },
  {
    name: 'D19 written bytes are taken from readable segments',
    file: buffers,
    from: 'this.#room[entry] = isWritable ? length : 0;',
    to: 'this.#room[entry] = length;',
  },
  {
    name: 'a reset forgets what is outstanding',
    file: buffers,
    from: 'for (const head of heads) this.remove(head, 0);',
    to: '',
  },
  {
    name: 'split asks for a notification and does not look again',
    file: split,
    from: 'return this.#ring.usedIdx() === this.#lastUsedIdx;',
    to: 'return true;',
  },
  {
    name: 'split tells the device of nothing with EVENT_IDX',
    file: split,
    from: 'if (this.#eventIdx) return needsNotification(this.#ring.availEvent(), current, previous);',
    to: 'if (this.#eventIdx) return false;',
  },
  {
    name: 'D24 the event test is not safe across the wrap',
    file: 'notification.ts',
    from: 'return ((current - event - 1) & 0xffff) < ((current - previous) & 0xffff);',
    to: 'return current > event;',
  },
  {
    name: 'D30 packed takes an id beyond the queue',
    file: packed,
    from: 'if (id >= this.size) return',
    to: 'if (id > 0xffffff) return',
  },
  {
    name: 'D32 packed takes an id that is not outstanding',
    file: packed,
    from: "if (!this.#buffers.isOutstanding(id, this.#published)) {\n      return this.#break('used-id-not-outstanding', `used id ${id} is not outstanding`);\n    }\n    const writable",
    to: 'const writable',
  },
  {
    name: 'D33 packed believes a length without WRITE',
    file: packed,
    from: '(flags & VIRTQ_DESC_F_WRITE) === 0 ? 0 : this.#ring.length(slot)',
    to: 'this.#ring.length(slot)',
  },
  {
    name: 'D29 packed takes any lap for used',
    file: layout,
    from: 'return (flags & (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)) === usedFlags(position);',
    to: 'return ((flags >> 7) & 1) === ((flags >> 15) & 1);',
  },
  {
    name: 'D31 packed skips one slot for every buffer',
    file: packed,
    from: 'advance(this.#usedPosition, this.#buffers.entriesOf(id), this.size)',
    to: 'advance(this.#usedPosition, 1, this.size)',
  },
  {
    name: 'R-01 the wrap counter does not toggle at the end',
    file: layout,
    from: 'return slot < size ?',
    to: 'return slot <= size ?',
  },
  {
    name: 'packed shows the first buffer of a batch too early',
    file: packed,
    from: 'if (this.#readySlots === 0) {',
    to: 'if (this.#readySlots < 0) {',
  },
  {
    name: 'V02 split device lets avail.idx go anywhere',
    file: splitDevice,
    from: 'if (arrived > this.size - this.#inFlight) {',
    to: 'if (arrived > 0xffff) {',
  },
  {
    name: 'V03 split device takes a head beyond the queue',
    file: splitDevice,
    from: 'if (head >= this.size)',
    to: 'if (head > 0xffffff)',
  },
  {
    name: 'V04 split device follows next anywhere',
    file: splitDevice,
    from: 'if (index >= this.size)',
    to: 'if (index > 0xffffff)',
  },
  {
    name: 'V16 split device follows a table in a table',
    file: splitDevice,
    from: "if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0)\n        return this.#break('indirect-table-invalid', 'a table refers to a table');",
    to: '',
  },
  {
    name: 'V17 split device takes INDIRECT with NEXT',
    file: splitDevice,
    from: '|| (flags & VIRTQ_DESC_F_NEXT) !== 0) {',
    to: ') {',
  },
  {
    name: 'V15 split device takes a table that was not negotiated',
    file: splitDevice,
    from: '!this.#options.indirect ||',
    to: '',
  },
  {
    name: 'V18 split device takes a table of any length',
    file: splitDevice,
    from: '!Number.isInteger(entries) || entries === 0 ||',
    to: '',
  },
  {
    name: 'V21 split device takes a table longer than the queue',
    file: splitDevice,
    from: 'entries === 0 || entries > this.size',
    to: 'entries === 0',
  },
  {
    name: 'V24 split device takes a head twice',
    file: splitDevice,
    from: 'if (this.#isInFlight[head] === 1)',
    to: 'if (this.#isInFlight[head] === 7)',
  },
  {
    name: 'V06 a chain may be longer than the queue',
    file: chain,
    from: "if (at === limit) return 'descriptor-chain-too-long';",
    to: "if (at > 4 * limit) return 'descriptor-chain-too-long';",
  },
  { name: 'V08 a segment may be empty', file: chain, from: 'if (length === 0 ||', to: 'if (' },
  { name: 'V10 an address may wrap', file: chain, from: 'length === 0 || wraps ||', to: 'length === 0 ||' },
  { name: 'V11 a chain may have more than 4 GiB', file: chain, from: '|| wraps || isTooLong', to: '|| wraps' },
  {
    name: 'V13 readable may follow writable',
    file: chain,
    from: "else if (this.readable !== at) return 'descriptor-order-invalid';",
    to: '',
  },
  {
    name: 'V38 packed device takes a list of which a part is missing',
    file: packedDevice,
    from: 'if (!isAvailable(flags, position)) {',
    to: 'if (flags === 0x12345) {',
  },
  {
    name: 'V42 packed device takes an id beyond the queue',
    file: packedDevice,
    from: 'if (id >= this.size)',
    to: 'if (id > 0xffffff)',
  },
  {
    name: 'V42 packed device takes an id twice',
    file: packedDevice,
    from: 'if (this.#slots[id] !== 0)',
    to: 'if (this.#slots[id] === 0xffff)',
  },
  {
    name: 'V44 packed device takes a table in a list',
    file: packedDevice,
    from: "if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0) {\n        this.#break('indirect-table-invalid', 'a table in a list of descriptors');\n        return 0;\n      }",
    to: '',
  },
  {
    name: 'V37 packed device has more in flight than the queue',
    file: packedDevice,
    from: 'if (this.#inFlightSlots + slots > this.size) {',
    to: 'if (this.#inFlightSlots + slots > 0xffff) {',
  },
  {
    name: 'V47 packed heeds events without EVENT_IDX',
    file: 'notification.ts',
    from: 'if (flags !== RING_EVENT_FLAGS_DESC || !eventIdx) return true;',
    to: 'if (flags !== RING_EVENT_FLAGS_DESC) return true;',
  },
  {
    name: 'packed device shows the first buffer of a batch too early',
    file: packedDevice,
    from: 'if (this.#isHolding) return ring.writeFlags(slot, flags);',
    to: 'return ring.writeFlags(slot, flags);',
  },
  {
    name: 'D39 split in order takes what is not outstanding',
    file: split,
    from: 'if (id >= this.size || !this.#buffers.isOutstanding(id, this.#publishedIdx)) {',
    to: 'if (id > 0xffffff) {',
  },
  {
    name: 'D40 split in order believes an index that ends too early',
    file: split,
    from: 'if (left === 1) return',
    to: 'if (left === 0x1_0000) return',
  },
  {
    name: 'S-26 skipped buffers count as empty',
    file: split,
    from: 'return this.#complete(head, this.#buffers.writableOf(head), batch);',
    to: 'return this.#complete(head, 0, batch);',
  },
  {
    name: 'in order skips a buffer that was not filled',
    file: 'in-flight-order.ts',
    from: 'const isFull = written === this.#room[this.#oldest];',
    to: 'const isFull = true;',
  },
  {
    name: 'in order returns buffers in any order',
    file: 'in-flight-order.ts',
    from: 'if (this.#count === 0 || this.#ids[this.#oldest] !== id)',
    to: 'if (this.#count === 0)',
  },
];
