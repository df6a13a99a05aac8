import { mutationsOf, type Mutation } from './mutation.ts';

/** Of the driver's end of a packed ring. */
export const PACKED_DRIVER: readonly Mutation[] = mutationsOf('core/src/queue/packed-virtqueue.ts', [
  {
    name: 'takes an id beyond the queue',
    cases: ['D01', 'D30'],
    from: 'if (id >= this.#size) return',
    to: 'if (id > 0xffffff) return',
  },
  {
    name: 'takes an id that is not outstanding',
    cases: ['D03', 'D04', 'D05', 'D28', 'D32', 'D43', 'M8'],
    from: "if (!this.#buffers.isOutstanding(id, this.#published)) {\n      return this.#break('used-id-not-outstanding', `used id ${id} is not outstanding`);\n    }\n    const writable",
    to: 'const writable',
  },
  {
    name: 'takes as much as there is, not as much as was asked for',
    cases: ['D08'],
    from: 'while (batch.count < batch.capacity && this.#broken === undefined) {',
    to: 'while (this.#broken === undefined) {',
  },
  {
    name: 'has a sentinel in the ring: a buffer whose address there is 0 in its high word was never mapped',
    cases: ['D15'],
    from: 'const writable = this.#buffers.writableOf(id);',
    to: 'const writable = this.#ring.high(slotOf(this.#usedPosition)) === 0 ? 0 : this.#buffers.writableOf(id);',
  },
  {
    name: 'reads the length of the last segment in the ring',
    cases: ['D16'],
    from: 'const writable = this.#buffers.writableOf(id);',
    to: 'const writable = this.#ring.length(slotOf(advance(this.#usedPosition, this.#buffers.entriesOf(id) - 1, this.#size)));',
  },
  {
    name: 'walks a list for as long as the ring says NEXT',
    cases: ['D17', 'D37'],
    from: 'advance(this.#usedPosition, this.#buffers.entriesOf(id), this.#size)',
    to: `advance(
      this.#usedPosition,
      this.#buffers.entriesOf(id) +
        (this.#ring.flags(slotOf(advance(this.#usedPosition, this.#buffers.entriesOf(id) - 1, this.#size))) &
          VIRTQ_DESC_F_NEXT),
      this.#size,
    )`,
  },
  {
    name: 'finds in the ring which segment may be written',
    cases: ['D19'],
    from: 'const writable = this.#buffers.writableOf(id);',
    to: `const tail = slotOf(advance(this.#usedPosition, this.#buffers.entriesOf(id) - 1, this.#size));
    const writable = (this.#ring.flags(tail) & VIRTQ_DESC_F_WRITE) === 0 ? 0 : this.#buffers.writableOf(id);`,
  },
  {
    name: 'measures the room of a buffer in its table',
    cases: ['D20'],
    from: 'const writable = this.#buffers.writableOf(id);',
    to: 'const writable = this.#tables === undefined ? this.#buffers.writableOf(id) : this.#tables.length(id * this.#tableEntries + 1);',
  },
  {
    name: 'reads its own event back',
    cases: ['D21'],
    from: 'this.#ring.writeDriverEvent(0, RING_EVENT_FLAGS_DISABLE);',
    to: 'if (this.#ring.driverEvent() >>> 16 !== 1) this.#ring.writeDriverEvent(0, RING_EVENT_FLAGS_DISABLE);',
  },
  {
    name: 'believes that what the device wants to hear of is where it stands',
    cases: ['D23'],
    from: 'this.#published = this.#buffers.added;\n    return',
    to: 'this.#published = this.#buffers.added;\n    if (this.#eventIdx) this.#availPosition = this.#ring.deviceEvent() & 0xffff;\n    return',
  },
  {
    name: 'reads flags twice',
    cases: ['D26'],
    from: 'if (!isUsed(flags, this.#usedPosition)) break;',
    to: 'if (!isUsed(this.#ring.flags(slot), this.#usedPosition)) break;',
  },
  {
    name: 'skips one slot for every buffer',
    cases: ['D31'],
    from: 'advance(this.#usedPosition, this.#buffers.entriesOf(id), this.#size)',
    to: 'advance(this.#usedPosition, 1, this.#size)',
  },
  {
    name: 'believes a length without WRITE',
    cases: ['D33'],
    from: '(flags & VIRTQ_DESC_F_WRITE) !== 0 || this.#unmarkedLengths',
    to: 'true',
  },
  {
    name: 'takes NEXT in a used descriptor for another slot',
    cases: ['D35'],
    from: 'advance(this.#usedPosition, this.#buffers.entriesOf(id), this.#size)',
    to: 'advance(this.#usedPosition, this.#buffers.entriesOf(id) + (this.#ring.flags(slotOf(this.#usedPosition)) & 1), this.#size)',
  },
  {
    name: 'shows the first buffer of a batch too early',
    cases: [],
    from: 'if (this.#readySlots === 0) {',
    to: 'if (this.#readySlots < 0) {',
  },
  {
    name: 'takes a batch that ends with what is not outstanding',
    cases: ['D39'],
    from: 'if (id >= this.#size || !this.#buffers.isOutstanding(id, this.#published)) {',
    to: 'if (id > 0xffffff) {',
  },
  {
    name: 'takes buffers of IN_ORDER in any order',
    cases: ['D40', 'D41'],
    from: 'if (this.#inOrder) this.#beginBatch',
    to: 'if (this.#size < 0) this.#beginBatch',
  },
  {
    name: 'takes skipped buffers for empty',
    cases: ['D42'],
    from: 'isLast ? this.#batchLength : this.#buffers.writableOf(id)',
    to: 'isLast ? this.#batchLength : 0',
  },
  {
    name: 'gives buffers back to their owner when the device is given up, before any reset',
    cases: ['D45', 'M7'],
    from: 'this.#broken ??= reason;',
    to: 'this.#broken ??= reason;\n    this.#buffers.removeAll();',
  },
  { name: 'does not undo a failed mapping', cases: ['M1'], from: 'buffers.undo(i, false);', to: '' },
  { name: 'does not undo a failed mapping in a table', cases: ['M1', 'R-04'], from: 'buffers.undo(i, true);', to: '' },
  {
    name: 'breaks over a mapping that fails',
    cases: ['M2', 'R-08'],
    from: 'if (failure < 0) return failure;',
    to: "if (failure < 0) {\n      this.#break('marked-by-owner', 'a mapping failed');\n      return failure;\n    }",
  },
  {
    name: 'looks again where its delayed event is',
    cases: ['R-02'],
    from: 'this.#ring.writeDriverEvent(position, RING_EVENT_FLAGS_DESC);\n    return this.#batchEnd < 0 && !isUsed(this.#ring.flags(slotOf(this.#usedPosition)), this.#usedPosition);',
    to: 'this.#ring.writeDriverEvent(position, RING_EVENT_FLAGS_DESC);\n    return this.#batchEnd < 0 && !isUsed(this.#ring.flags(slotOf(position)), position);',
  },
  {
    name: 'switches notifications off by an event at the first slot',
    cases: ['R-09'],
    from: 'this.#ring.writeDriverEvent(0, RING_EVENT_FLAGS_DISABLE);',
    to: 'this.#ring.writeDriverEvent(FIRST_POSITION, RING_EVENT_FLAGS_DESC);',
  },
  {
    name: 'stays where it was over a reset',
    cases: ['R-12', 'R-13'],
    from: 'this.#availPosition = FIRST_POSITION;\n    this.#nextAvailable',
    to: 'this.#nextAvailable',
  },
  {
    name: 'keeps the ring as it was over a reset',
    cases: ['D43', 'R-12', 'R-13'],
    from: 'this.#guest.u8.fill(0, address, address + length);',
    to: '',
  },
  {
    name: 'looks for the id of a list in its own last slot',
    cases: ['R-15'],
    from: 'else this.#complete(this.#ring.id(slot), written, batch);',
    to: 'else this.#complete(this.#ring.id(slotOf(advance(this.#usedPosition, 1, this.#size))), written, batch);',
  },
]);
