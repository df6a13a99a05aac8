import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LyingBackEnd } from './lying-back-end.ts';

const PAGE = 4096;
const IOTLB_MSG = 22;
const READ = 1;
const WRITE = 2;
/** So that the upper word is not 0. */
const IOVA = 0x12_3456_7000;
const HIGH = 0x12;
const LOW = 0x3456_7000;

let peer: LyingBackEnd;
beforeEach(() => {
  peer = new LyingBackEnd();
});
afterEach(() => peer.dispose());

describe('Iotlb', () => {
  it('tells a page when it is asked for, and no other', () => {
    peer.container.mapDma(4 * PAGE, IOVA, 3 * PAGE, READ | WRITE);
    expect(peer.translations()).toEqual([]);
    expect(peer.iotlb.miss(LOW + PAGE + 5, HIGH, READ)).toBe(true);
    expect(peer.translations()).toEqual(['1234568000+1: page 5 permission 3']);
    expect(peer.iotlb.size).toBe(1);
  });

  it.each([
    ['reading', READ, WRITE, 'write-not-permitted'],
    ['writing', WRITE, READ, 'read-not-permitted'],
  ])('permits exactly what is mapped: %s', (_, mapped, wanted, cause) => {
    peer.container.mapDma(0, IOVA, PAGE, mapped);
    expect(peer.iotlb.miss(LOW, HIGH, wanted)).toBe(false);
    expect(peer.iotlb.miss(LOW, HIGH, READ | WRITE)).toBe(false);
    expect(peer.translations()).toEqual([]);
    expect(peer.faults.entries.map((fault) => fault.cause)).toEqual([cause, cause]);
    expect(peer.iotlb.miss(LOW, HIGH, mapped)).toBe(true);
    expect(peer.translations()).toEqual([`1234567000+1: page 0 permission ${mapped}`]);
    // It knows all that it may do there: asking for more is answered by nothing, and no fault as long as it could do
    // with less.
    expect(peer.iotlb.miss(LOW, HIGH, READ | WRITE)).toBe(false);
    expect(peer.faults.count).toBe(2);
    expect(peer.iotlb.miss(LOW, HIGH, wanted)).toBe(false);
    expect(peer.faults.count).toBe(3);
    expect(peer.translations()).toEqual([]);
  });

  it('lets read what is mapped for writing where it is told to, and never the other way round', () => {
    const lenient = new LyingBackEnd({ writeImpliesRead: true });
    lenient.container.mapDma(0, 0, PAGE, WRITE);
    lenient.container.mapDma(0, PAGE, PAGE, READ);
    expect(lenient.iotlb.miss(0, 0, READ | WRITE)).toBe(true);
    expect(lenient.iotlb.miss(PAGE, 0, READ | WRITE)).toBe(false);
    expect(lenient.translations()).toEqual(['0+1: page 0 permission 3']);
    lenient.dispose();
  });

  it('records a miss for an address that is not mapped', () => {
    expect(peer.iotlb.miss(0xffff_f123, 0xffff_ffff, READ | WRITE)).toBe(false);
    expect(peer.iotlb.miss(LOW, HIGH, WRITE)).toBe(false);
    expect(peer.faults.entries).toEqual([
      { address: 0xffff_ffff_ffff_f123n, length: 1, access: 'read', cause: 'outside-window' },
      { address: 0xffff_ffff_ffff_f123n, length: 1, access: 'write', cause: 'outside-window' },
      { address: BigInt(IOVA), length: 1, access: 'write', cause: 'unmapped' },
    ]);
    expect(peer.sent()).toEqual([]);
  });

  it('has what was unmapped forgotten before the call returns, in one message for pages in a row', () => {
    peer.container.mapDma(4 * PAGE, IOVA, 3 * PAGE, READ);
    peer.container.mapDma(9 * PAGE, IOVA + 4 * PAGE, PAGE, READ);
    for (const page of [2, 0, 1, 4]) peer.iotlb.miss(LOW + page * PAGE, HIGH, READ);
    peer.sent();
    peer.answer(IOTLB_MSG, 0n);
    expect(peer.container.unmapDma(IOVA, 3 * PAGE)).toBe(3 * PAGE);
    expect(peer.translations()).toEqual(['1234567000+3: forget, and say so']);
    expect(peer.iotlb.size).toBe(1);
    // Not asked for: nothing to forget.
    peer.container.mapDma(4 * PAGE, IOVA, PAGE, READ);
    expect(peer.container.unmapDma(IOVA, PAGE)).toBe(PAGE);
    expect(peer.sent()).toEqual([]);
  });

  it('has the address spaces of the device learn of its reset, and what they drop forgotten', () => {
    let resets = 0;
    const onReset = (): void => void resets++;
    const reset = new LyingBackEnd({ onReset });
    reset.container.mapDma(0, 0, PAGE, READ);
    reset.iotlb.miss(0, 0, READ);
    reset.sent();
    reset.iotlb.reset();
    expect([resets, reset.iotlb.size, reset.sent()]).toEqual([2, 1, []]);
    reset.dispose();
  });

  it('names one byte less where the page behind is known: DPDK would forget that page too', () => {
    peer.container.mapDma(4 * PAGE, IOVA, PAGE, READ);
    peer.container.mapDma(5 * PAGE, IOVA + PAGE, PAGE, READ);
    for (const page of [0, 1]) peer.iotlb.miss(LOW + page * PAGE, HIGH, READ);
    peer.sent();
    peer.answer(IOTLB_MSG, 0n);
    expect(peer.container.unmapDma(IOVA, PAGE)).toBe(PAGE);
    expect(peer.translations()).toEqual([`1234567000+${4095 / 4096}: forget, and say so`]);
  });

  it('has a page in the file only as long as the back-end may know it, at however many addresses', () => {
    const text = Buffer.from('keep out!');
    peer.memory.u8.set(text, 4 * PAGE + 100);
    const inFile = (): boolean => Buffer.from(peer.file(4 * PAGE, PAGE)).includes(text);
    peer.container.mapDma(4 * PAGE, IOVA, PAGE, READ);
    peer.container.mapDma(4 * PAGE, 0, PAGE, READ);
    expect(inFile()).toBe(false);
    peer.iotlb.miss(LOW, HIGH, READ);
    peer.iotlb.miss(0, 0, READ);
    expect(inFile()).toBe(true);
    peer.answer(IOTLB_MSG, 0n);
    peer.container.unmapDma(IOVA, PAGE);
    expect(inFile()).toBe(true);
    peer.answer(IOTLB_MSG, 0n);
    peer.container.unmapDma(0, PAGE);
    expect(inFile()).toBe(false);
    expect(peer.file(0, 64 * PAGE).every((byte) => byte === 0)).toBe(true);
    expect(Buffer.from(peer.memory.u8.subarray(4 * PAGE + 100)).includes(text)).toBe(true);
  });

  it('invalidates before it tells more of a page: an update of what is known is ignored', () => {
    peer.container.mapDma(0, 0, PAGE, READ);
    peer.iotlb.miss(0, 0, READ);
    peer.answer(IOTLB_MSG, 0n);
    peer.container.unmapDma(0, PAGE);
    peer.container.mapDma(8 * PAGE, 0, PAGE, READ | WRITE);
    peer.iotlb.miss(0, 0, WRITE);
    expect(peer.translations()).toEqual([
      '0+1: page 0 permission 1',
      '0+1: forget, and say so',
      '0+1: page 8 permission 3',
    ]);
  });

  it('does not take a request for a fault that was on its way when its page was unmapped', () => {
    peer.container.mapDma(0, 0, PAGE, READ);
    peer.iotlb.miss(0, 0, READ);
    peer.say({ permission: 3 });
    peer.answer(IOTLB_MSG, 0n);
    peer.container.unmapDma(0, PAGE);
    expect(peer.faults.count).toBe(0);
    peer.say({ permission: 3 });
    peer.channel.serve();
    expect(peer.faults.count).toBe(2);
  });

  it('announces pages at once, and waits once for the confirmation of all', () => {
    peer.container.mapDma(4 * PAGE, 0xffff_f000, 3 * PAGE, READ);
    peer.iotlb.announce(0xffff_f800, 0, PAGE);
    peer.iotlb.announce(0x1000, 1, PAGE);
    expect(peer.translations()).toEqual([
      'fffff000+1: page 4 permission 1',
      '100000000+1: page 5 permission 1',
      '100001000+1: page 6 permission 1',
    ]);
    peer.answer(1, 0n);
    peer.iotlb.confirm();
    expect(peer.sent()).toMatchObject([{ request: 1 }]);
    expect(peer.connection.isLost).toBe(false);
    peer.iotlb.announce(0xffff_f800, 0, PAGE);
    peer.iotlb.announce(0, 7, PAGE);
    peer.iotlb.confirm();
    expect(peer.sent()).toEqual([]);
    expect(peer.faults.count).toBe(0);
    peer.answer(1, 0n);
    peer.iotlb.repeat();
    expect(peer.translations()).toHaveLength(3);
  });

  it('needs no confirmation of a page where an invalidation behind it was acknowledged', () => {
    peer.container.mapDma(4 * PAGE, 0, 2 * PAGE, READ);
    peer.container.mapDma(6 * PAGE, 2 * PAGE, PAGE, READ);
    peer.iotlb.announce(0, 0, PAGE);
    peer.iotlb.announce(2 * PAGE, 0, PAGE);
    peer.answer(IOTLB_MSG, 0n);
    peer.container.unmapDma(2 * PAGE, PAGE);
    peer.sent();
    peer.iotlb.confirm();
    expect(peer.sent()).toEqual([]);
  });

  it('gives up a back-end that does not confirm what it was sent', () => {
    peer.container.mapDma(0, 0, PAGE, READ);
    peer.iotlb.announce(0, 0, PAGE);
    expect(peer.connection.isLost).toBe(false);
    peer.iotlb.confirm();
    expect(peer.connection.isLost).toBe(true);
  });

  it.each([
    ['refuses to forget', (): void => peer.answer(IOTLB_MSG, 1n)],
    ['does not answer', (): void => {}],
    ['answers something else', (): void => peer.answer(1, 0n)],
  ])('gives up a back-end that %s a page, and takes the page from it', (_, answer) => {
    peer.memory.u8.fill(7, 0, PAGE);
    peer.container.mapDma(0, 0, 2 * PAGE, READ);
    peer.iotlb.miss(0, 0, READ);
    peer.iotlb.miss(PAGE, 0, READ);
    answer();
    const start = performance.now();
    expect(peer.container.unmapDma(0, 2 * PAGE)).toBe(2 * PAGE);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(peer.connection.isLost).toBe(true);
    expect(() => peer.connection.check()).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_LOST' }));
    expect(peer.file(0, PAGE).every((byte) => byte === 0)).toBe(true);
    expect(peer.memory.u8[0]).toBe(7);
    // No call waits for a back-end that is gone.
    peer.container.mapDma(0, 0, PAGE, READ);
    peer.iotlb.announce(0, 0, PAGE);
    expect(peer.container.unmapDma(0, PAGE)).toBe(PAGE);
  });

  it('finds a ring only where the device may read and write it, in one run of memory', () => {
    peer.container.mapDma(4 * PAGE, 0, 2 * PAGE, READ | WRITE);
    peer.container.mapDma(9 * PAGE, 2 * PAGE, PAGE, READ | WRITE);
    peer.container.mapDma(10 * PAGE, 3 * PAGE, PAGE, WRITE);
    expect(peer.iotlb.locate(16, 0, 2 * PAGE - 16)).toBe(4 * PAGE + 16);
    expect(peer.iotlb.locate(16, 0, 2 * PAGE)).toBe(-1);
    expect(peer.iotlb.locate(3 * PAGE, 0, 16)).toBe(-1);
    expect(peer.iotlb.locate(8 * PAGE, 0, 16)).toBe(-1);
    expect(peer.faults.count).toBe(0);
  });
});
