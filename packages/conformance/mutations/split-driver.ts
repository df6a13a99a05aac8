import { mutationsOf, type Mutation } from './mutation.ts';
import { takingLength } from './taking-length.ts';

const driver: readonly Mutation[] = mutationsOf('core/src/queue/split/split-virtqueue.ts', [
  {
    name: 'lets used.idx go anywhere',
    cases: ['D07', 'D08'],
    from: 'if (arrived > buffers.returnable) {',
    to: 'if (arrived > 0xffff) {',
  },
  {
    name: 'takes as much as there is, not as much as was asked for',
    cases: ['D08'],
    from: 'arrived < batch.capacity ? arrived : batch.capacity',
    to: 'arrived',
  },
  {
    name: 'has a sentinel in the ring: a buffer whose address there is 0 in its high word was never mapped',
    cases: ['D15'],
    from: 'takeBack(this.#ring,',
    to: takingLength('return this.#descriptors.high(id) === 0 ? 0 : length;'),
  },
  {
    name: 'measures the room of a buffer in the ring, along its chain',
    cases: ['D16', 'D17', 'D18', 'D19'],
    from: 'takeBack(this.#ring,',
    to: takingLength(`let writable = 0;
    for (let at = id, left = this.size; left > 0; left--) {
      const flags = this.#descriptors.flags(at);
      if ((flags & WRITE) !== 0) writable += this.#descriptors.length(at);
      if ((flags & NEXT) === 0) break;
      at = this.#descriptors.next(at) % this.size;
    }
    return Math.min(length, writable);`),
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
    name: 'reads avail.idx back',
    cases: ['D21'],
    from: 'this.#ring.publishAvailIdx(current & 0xffff);',
    to: 'this.#ring.publishAvailIdx((this.#ring.availIdx() + current - previous) & 0xffff);',
  },
  {
    name: 'takes any bit of used.flags for "no notifications"',
    cases: ['D22'],
    from: '(this.#ring.usedFlags() & VIRTQ_USED_F_NO_NOTIFY) === 0',
    to: 'this.#ring.usedFlags() === 0',
  },
  {
    name: 'believes that what the device wants to hear of is what is published',
    cases: ['D23'],
    from: 'const previous = this.buffers.published;',
    to: 'const previous = this.#eventIdx ? this.#ring.availEvent() : this.buffers.published;',
  },
  {
    name: 'tells the device of nothing with EVENT_IDX',
    cases: [],
    from: '? needsNotification(this.#ring.availEvent(), current, previous)',
    to: '? false',
  },
  {
    name: 'reads used.idx twice',
    cases: ['D26'],
    from: 'const arrived = (usedIdx - this.#lastUsedIdx) & 0xffff;',
    to: 'const arrived = (this.#ring.usedIdx() - this.#lastUsedIdx) & 0xffff;',
  },
  {
    name: 'believes an index that ends before its batch',
    cases: ['D40'],
    from: 'if (left === 1 &&',
    to: 'if (left === 0x1_0000 &&',
  },
  {
    name: 'takes buffers of IN_ORDER in any order',
    cases: ['D41'],
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
    name: 'asks for a delayed notification and does not look again',
    cases: ['R-02'],
    from: 'return this.enabled(((this.#ring.usedIdx() - this.#lastUsedIdx) & 0xffff) <= most);',
    to: 'return true;',
  },
  {
    name: 'asks for a notification and does not look again',
    cases: ['R-10'],
    from: 'return this.enabled(this.#ring.usedIdx() === this.#lastUsedIdx);',
    to: 'return true;',
  },
  {
    name: 'switches notifications off by an event index of 0',
    cases: ['R-09'],
    from: 'this.#ring.writeUsedEvent((this.#lastUsedIdx - 1) & 0xffff);',
    to: 'this.#ring.writeUsedEvent(0);',
  },
  {
    name: 'keeps the ring as it was over a reset',
    cases: ['R-12', 'R-13', 'D43'],
    from: 'this.#ring.publishUsedIdx(0);',
    to: '',
  },
]);

const ring: readonly Mutation[] = mutationsOf('core/src/queue/split/split-ring.ts', [
  {
    name: 'cuts an id to 16 bits',
    cases: ['D02'],
    from: 'return this.usedId(position & this.#mask);',
    to: 'return this.usedId(position & this.#mask) & 0xffff;',
  },
]);

/** Of the driver's end of a split ring. */
export const SPLIT_DRIVER: readonly Mutation[] = [...driver, ...ring];
