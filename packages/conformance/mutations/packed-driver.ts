import { mutationsOf, type Mutation } from './mutation.ts';
import { takingLength } from './taking-length.ts';

const driver: readonly Mutation[] = mutationsOf('core/src/queue/packed/packed-virtqueue.ts', [
  {
    name: 'takes as much as there is, not as much as was asked for',
    cases: ['D08'],
    from: 'this.#usedPosition, batch.capacity, batch)',
    to: 'this.#usedPosition, 0xffff, batch)',
  },
  {
    name: 'has a sentinel in the ring: a buffer whose address there is 0 in its high word was never mapped',
    cases: ['D15'],
    from: 'takeBack(this.#ring,',
    to: takingLength('return this.#ring.high(slotOf(at)) === 0 ? 0 : length;'),
  },
  {
    name: 'reads the length of the last segment in the ring',
    cases: ['D16'],
    from: 'takeBack(this.#ring,',
    to: takingLength('return Math.min(length, this.#ring.length(slotOf(advance(at, 1, this.size))));'),
  },
  {
    name: 'finds in the ring which segment may be written',
    cases: ['D19'],
    from: 'takeBack(this.#ring,',
    to: takingLength('return (this.#ring.flags(slotOf(advance(at, 1, this.size))) & WRITE) === 0 ? 0 : length;'),
  },
  {
    name: 'measures the room of a buffer in its table',
    cases: ['D20'],
    from: 'takeBack(this.#ring,',
    to: takingLength(
      'return Math.min(length, this.#tables?.length(this.buffers.firstTableEntry(id) + 1) ?? Infinity);',
    ),
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
    name: 'shows the first buffer of a batch too early',
    cases: [],
    from: 'if (this.#readySlots > 0) return this.#ring.writeTail',
    to: 'if (this.#readySlots >= 0) return this.#ring.writeTail',
  },
  {
    name: 'takes buffers of IN_ORDER in any order',
    cases: ['D40', 'D41'],
    from: 'if (this.#inOrder) this.#takeInOrder',
    to: 'if (this.size < 0) this.#takeInOrder',
  },
  {
    name: 'breaks over a mapping that fails',
    cases: ['M2', 'R-08'],
    from: 'if (failure < 0) return this.refuse(list, failure);',
    to: "if (failure < 0 && !this.break('marked-by-owner', 'a mapping failed')) return failure;",
  },
  {
    name: 'looks again where its delayed event is',
    cases: ['R-02'],
    from: 'this.#ring.writeDriverEvent(position, RING_EVENT_FLAGS_DESC);\n    return this.enabled(!this.#hasUsed());',
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
]);

const ring: readonly Mutation[] = mutationsOf('core/src/queue/packed/packed-ring.ts', [
  {
    name: 'walks a list for as long as the ring says NEXT',
    cases: ['D17', 'D37'],
    from: 'return advance(position, slots, this.#size);',
    to: `const tail = this.flags(slotOf(advance(position, slots - 1, this.#size)));
    return advance(position, slots + (tail & 1), this.#size);`,
  },
  {
    name: 'reads flags twice',
    cases: ['D26'],
    from: 'return isUsed(this.#usedFlags, position);',
    to: 'return isUsed(this.flags(slotOf(position)), position);',
  },
  {
    name: 'skips one slot for every buffer',
    cases: ['D31'],
    from: 'return advance(position, slots, this.#size);',
    to: 'return advance(position, 1, this.#size);',
  },
  {
    name: 'believes a length without WRITE',
    cases: ['D33'],
    from: '((this.#usedFlags | this.#impliedFlags) & VIRTQ_DESC_F_WRITE) !== 0',
    to: 'true',
  },
  {
    name: 'takes NEXT in a used descriptor for another slot',
    cases: ['D35'],
    from: 'return advance(position, slots, this.#size);',
    to: 'return advance(position, slots + (this.#usedFlags & 1), this.#size);',
  },
  {
    name: 'looks for the id of a list in its own last slot',
    cases: ['R-15'],
    from: 'return this.id(slotOf(position));',
    to: 'return this.id(slotOf(advance(position, 1, this.#size)));',
  },
]);

/** Of the driver's end of a packed ring. */
export const PACKED_DRIVER: readonly Mutation[] = [...driver, ...ring];
