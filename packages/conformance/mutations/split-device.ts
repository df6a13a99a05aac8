import { mutationsOf, type Mutation } from './mutation.ts';

/** Of the device's end of a split ring. */
export const SPLIT_DEVICE: readonly Mutation[] = mutationsOf('core/src/queue/split/split-device-queue.ts', [
  {
    name: 'lets avail.idx go anywhere',
    cases: ['V01', 'V02', 'V27'],
    from: 'if (arrived > this.size - this.inFlight) {',
    to: 'if (arrived > 0xffff) {',
  },
  {
    name: 'has more in flight than the queue',
    cases: ['V37'],
    from: 'if (arrived > this.size - this.inFlight) {',
    to: 'if (arrived > this.size) {',
  },
  { name: 'takes a head beyond the queue', cases: ['V03'], from: 'if (head >= this.size)', to: 'if (head > 0xffffff)' },
  { name: 'follows next anywhere', cases: ['V04'], from: 'if (index >= size)', to: 'if (index > 0xffffff)' },
  {
    name: 'takes a table that was not negotiated',
    cases: ['V15'],
    from: '!this.options.indirect ||',
    to: '',
  },
  {
    name: 'takes a table in a table',
    cases: ['V16'],
    from: "if ((tail & INDIRECT) !== 0) return this.break('indirect-table-invalid', 'a table refers to a table');",
    to: '',
  },
  {
    name: 'takes INDIRECT with NEXT',
    cases: ['V17', 'V22'],
    from: '|| (tail & NEXT) !== 0) {',
    to: ') {',
  },
  {
    name: 'takes a table at the head of a chain only',
    cases: ['V22'],
    from: '|| (tail & NEXT) !== 0) {',
    to: '|| (tail & NEXT) !== 0 || index !== head) {',
  },
  {
    name: 'refuses WRITE on the descriptor of a table',
    cases: ['V23'],
    from: '|| (tail & NEXT) !== 0) {',
    to: '|| (tail & (NEXT | WRITE)) !== 0) {',
  },
  {
    name: 'writes to a table',
    cases: ['V49'],
    from: 'for (let index = 0, seen = 0; ; seen++) {',
    to: 'this.space.write(low, high, new Uint8Array(bytes), 0, bytes);\n    for (let index = 0, seen = 0; ; seen++) {',
  },
  {
    name: 'follows next out of a table',
    cases: ['V20', 'V21', 'R-06'],
    from: 'if (index >= entries)',
    to: 'if (index >= this.size)',
  },
  {
    name: 'reads a table in sequence',
    cases: ['V20'],
    from: 'index = tail >>> 16;\n      if (index >= entries)',
    to: 'index++;\n      if (index >= entries)',
  },
  {
    name: 'bounds a table that loops by the queue',
    cases: ['V20'],
    from: 'if (seen === entries) return',
    to: 'if (seen === 0x1_0000) return',
  },
  {
    name: 'takes a head twice',
    cases: ['V24', 'V25'],
    from: 'if (this.slots[head] !== 0)',
    to: 'if (this.slots[head] === 7)',
  },
  {
    name: 'reads flags twice',
    cases: ['V26'],
    from: 'if ((tail & NEXT) === 0) return true;\n      index = tail >>> 16;\n      if (index >= size)',
    to: 'if ((descriptors.flags(index) & NEXT) === 0) return true;\n      index = tail >>> 16;\n      if (index >= size)',
  },
  {
    name: 'takes areas that are misaligned',
    cases: ['V28'],
    from: 'if (words[0]! % 16 !== 0 || words[2]! % 2 !== 0 || words[4]! % 4 !== 0)',
    to: 'if (words[0]! < 0)',
  },
  {
    name: 'takes a queue of any size',
    cases: ['V29'],
    from: '(size & (size - 1)) !== 0)',
    to: 'size < 0)',
  },
  {
    name: 'goes where the event index says',
    cases: ['V32'],
    from: 'ring.publishUsedIdx(current);',
    to: 'ring.publishUsedIdx(current);\n    if (this.options.eventIdx) this.usedPosition = ring.usedEvent();',
  },
  {
    name: 'reads used.idx back',
    cases: ['V33'],
    from: 'ring.publishUsedIdx(current);',
    to: 'ring.publishUsedIdx((ring.usedIdx() + moved) & 0xffff);',
  },
  {
    name: 'relies on descriptors that are in order',
    cases: ['V36'],
    from: 'index = tail >>> 16;\n      if (index >= size)',
    to: 'index = this.options.inOrder !== true ? tail >>> 16 : (index + 1) % size;\n      if (index >= size)',
  },
  {
    name: 'notifies about every buffer',
    cases: ['R-10'],
    from: 'return needsNotification(ring.usedEvent(), current, current - moved);',
    to: 'return true;',
  },
]);
