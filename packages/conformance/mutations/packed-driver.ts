import { mutationsOf, type Mutation } from './mutation.ts';

/** Of the driver's end of a packed ring. */
export const PACKED_DRIVER: readonly Mutation[] = mutationsOf('core/src/queue/packed/packed-virtqueue.ts', [
  {
    name: 'takes as much as there is, not as much as was asked for',
    cases: ['D08'],
    from: 'while (batch.count < batch.capacity && this.broken === undefined) {',
    to: 'while (this.broken === undefined) {',
  },
  {
    name: 'has a sentinel in the ring: a buffer whose address there is 0 in its high word was never mapped',
    cases: ['D15'],
    from: 'const entries = this.buffers.complete(id, this.#writtenAt(slot, flags), batch);',
    to: 'const length = this.#ring.high(slot) === 0 ? 0 : this.#writtenAt(slot, flags);\n    const entries = this.buffers.complete(id, length, batch);',
  },
  {
    name: 'reads the length of the last segment in the ring',
    cases: ['D16'],
    from: 'const entries = this.buffers.complete(id, this.#writtenAt(slot, flags), batch);',
    to: `const tail = slotOf(advance(this.#usedPosition, 1, this.size));
    const length = Math.min(this.#writtenAt(slot, flags), this.#ring.length(tail));
    const entries = this.buffers.complete(id, length, batch);`,
  },
  {
    name: 'walks a list for as long as the ring says NEXT',
    cases: ['D17', 'D37'],
    from: 'advance(this.#usedPosition, entries, this.size)',
    to: `advance(
      this.#usedPosition,
      entries +
        (this.#ring.flags(slotOf(advance(this.#usedPosition, entries - 1, this.size))) & VIRTQ_DESC_F_NEXT),
      this.size,
    )`,
  },
  {
    name: 'finds in the ring which segment may be written',
    cases: ['D19'],
    from: 'const entries = this.buffers.complete(id, this.#writtenAt(slot, flags), batch);',
    to: `const tail = this.#ring.flags(slotOf(advance(this.#usedPosition, 1, this.size)));
    const length = (tail & VIRTQ_DESC_F_WRITE) === 0 ? 0 : this.#writtenAt(slot, flags);
    const entries = this.buffers.complete(id, length, batch);`,
  },
  {
    name: 'measures the room of a buffer in its table',
    cases: ['D20'],
    from: 'const entries = this.buffers.complete(id, this.#writtenAt(slot, flags), batch);',
    to: `const most = this.#tables?.length(this.buffers.firstTableEntry(id) + 1) ?? Infinity;
    const entries = this.buffers.complete(id, Math.min(this.#writtenAt(slot, flags), most), batch);`,
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
    from: 'this.buffers.publish();',
    to: 'this.buffers.publish();\n    if (this.#eventIdx) this.#availPosition = this.#ring.deviceEvent() & 0xffff;',
  },
  {
    name: 'reads flags twice',
    cases: ['D26'],
    from: 'if (!isUsed(flags, this.#usedPosition)) return 0;\n    const id',
    to: 'if (!isUsed(this.#ring.flags(slot), this.#usedPosition)) return 0;\n    const id',
  },
  {
    name: 'skips one slot for every buffer',
    cases: ['D31'],
    from: 'advance(this.#usedPosition, entries, this.size)',
    to: 'advance(this.#usedPosition, 1, this.size)',
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
    from: 'advance(this.#usedPosition, entries, this.size)',
    to: 'advance(this.#usedPosition, entries + (this.#ring.flags(slotOf(this.#usedPosition)) & 1), this.size)',
  },
  {
    name: 'shows the first buffer of a batch too early',
    cases: [],
    from: 'if (this.#readySlots === 0) {',
    to: 'if (this.#readySlots < 0) {',
  },
  {
    name: 'takes buffers of IN_ORDER in any order',
    cases: ['D40', 'D41'],
    from: 'const entries = this.#inOrder',
    to: 'const entries = this.size < 0',
  },
  {
    name: 'breaks over a mapping that fails',
    cases: ['M2', 'R-08'],
    from: 'if (last < 0) return last;',
    to: "if (last < 0 && !this.break('marked-by-owner', 'a mapping failed')) return last;",
  },
  {
    name: 'looks again where its delayed event is',
    cases: ['R-02'],
    from: 'this.#ring.writeDriverEvent(position, RING_EVENT_FLAGS_DESC);\n    return !this.#hasUsed();',
    to: 'this.#ring.writeDriverEvent(position, RING_EVENT_FLAGS_DESC);\n    return !isUsed(this.#ring.flags(slotOf(position)), position);',
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
    from: 'this.guest.u8.fill(0, address, address + length);',
    to: '',
  },
  {
    name: 'looks for the id of a list in its own last slot',
    cases: ['R-15'],
    from: 'const id = this.#ring.id(slot);',
    to: 'const id = this.#ring.id(slotOf(advance(this.#usedPosition, 1, this.size)));',
  },
]);
