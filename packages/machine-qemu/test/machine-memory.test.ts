import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConvertibleMemory } from '@virtio-platform/host';
import { FileMemoryConversion } from '../src/machine-memory.ts';
import { MEMORY, SKIP, startBoard } from './installed-qemu.ts';

const PAGE = 4096;
const AT = 0x20_0000;

describe.skipIf(SKIP)('FileMemoryConversion with QEMU', () => {
  let started: Awaited<ReturnType<typeof startBoard>>;
  let conversion: FileMemoryConversion;

  beforeEach(async () => {
    started = await startBoard('q35', { isProtected: true });
    if (!(started.backing instanceof ConvertibleMemory))
      throw new TypeError('the backing of protected memory is not convertible');
    conversion = new FileMemoryConversion(started.memory, started.backing);
  });
  afterEach(() => started.dispose());

  /** The first bytes of a page as QEMU reads them. */
  function seenByQemu(address: number): string {
    return started.qtest.ask(`read 0x${address.toString(16)} 0x4`);
  }

  function fill(address: number, byte: number): void {
    started.memory.u8.fill(byte, address, address + PAGE);
  }

  it('hides private pages from QEMU, and shows it writes to shared pages', () => {
    fill(AT, 0x11);
    fill(AT + PAGE, 0x11);
    expect([seenByQemu(AT), seenByQemu(AT + PAGE)]).toEqual(['0x00000000', '0x00000000']);
    expect(conversion.setShared(AT, PAGE)).toBe(true);
    expect([seenByQemu(AT), started.memory.u8[AT]]).toEqual(['0x00000000', 0]);
    fill(AT, 0x22);
    fill(AT + PAGE, 0x22);
    expect([seenByQemu(AT), seenByQemu(AT + PAGE)]).toEqual(['0x22222222', '0x00000000']);
    started.qtest.ask(`write 0x${AT.toString(16)} 0x4 0xdeadbeef`);
    expect(started.memory.view.getUint32(AT)).toBe(0xdead_beef);
  });

  it('hides the content of a page from both sides when the page becomes private', () => {
    conversion.setShared(AT, 2 * PAGE);
    fill(AT, 0x33);
    fill(AT + PAGE, 0x33);
    expect(conversion.setPrivate(AT, PAGE)).toBe(true);
    expect([started.memory.u8[AT], started.memory.u8[AT + PAGE]]).toEqual([0, 0x33]);
    expect([seenByQemu(AT), seenByQemu(AT + PAGE)]).toEqual(['0x00000000', '0x33333333']);
    fill(AT, 0x44);
    expect(seenByQemu(AT)).toBe('0x00000000');
  });

  it('discards writes of QEMU to pages that are not shared', () => {
    fill(AT, 0x55);
    started.qtest.ask(`write 0x${AT.toString(16)} 0x4 0xdeadbeef`);
    expect(started.memory.u8[AT]).toBe(0x55);
    conversion.setShared(AT, PAGE);
    expect([started.memory.view.getUint32(AT), seenByQemu(AT)]).toEqual([0, '0x00000000']);
    conversion.setPrivate(AT, PAGE);
    started.qtest.ask(`write 0x${AT.toString(16)} 0x4 0xdeadbeef`);
    expect(started.memory.view.getUint32(AT)).toBe(0);
  });

  it('leaves pages unchanged that are already in the requested state', () => {
    conversion.setShared(AT + PAGE, PAGE);
    fill(AT + PAGE, 0x66);
    expect(conversion.setShared(AT, 3 * PAGE)).toBe(true);
    expect([seenByQemu(AT), seenByQemu(AT + PAGE), seenByQemu(AT + 2 * PAGE)]).toEqual([
      '0x00000000',
      '0x66666666',
      '0x00000000',
    ]);
    fill(AT - PAGE, 0x77);
    expect(conversion.setPrivate(AT - PAGE, 2 * PAGE)).toBe(true);
    expect([started.memory.u8[AT - PAGE], seenByQemu(AT + PAGE)]).toEqual([0x77, '0x66666666']);
  });

  it('converts all of memory in both directions', () => {
    for (let round = 0; round < 2; round++) {
      expect(conversion.setShared(0, MEMORY.q35)).toBe(true);
      fill(MEMORY.q35 - PAGE, 0x7e);
      expect(seenByQemu(MEMORY.q35 - PAGE)).toBe('0x7e7e7e7e');
      expect(conversion.setPrivate(0, MEMORY.q35)).toBe(true);
      expect(seenByQemu(MEMORY.q35 - PAGE)).toBe('0x00000000');
    }
  });

  it.each([
    ['an address inside a page', AT + 1, PAGE],
    ['a part of a page', AT, 100],
    ['no page', AT, 0],
    ['a negative length', AT, -PAGE],
    ['pages behind the end', MEMORY.q35 - PAGE, 2 * PAGE],
    ['pages before the start', -PAGE, PAGE],
    ['a range that is not a number', Number.NaN, PAGE],
  ])('refuses %s', (_, address, length) => {
    expect(() => conversion.setShared(address, length)).toThrow(RangeError);
    expect(() => conversion.setPrivate(address, length)).toThrow(RangeError);
  });
});
