import { describe, expect, it } from 'vitest';
import { COMMANDS, DATA, HandMadeUnit, STREAMS, TABLES } from '../hand-made-unit.ts';

describe('the registers of a simulated SMMU', () => {
  it('identify what QEMU has, without stream tables of two levels', () => {
    const { unit } = new HandMadeUnit();
    expect([0, 4, 0x14].map((offset) => unit.read32(offset).toString(16))).toEqual(['540101a', '2730010', '74']);
    expect([unit.read32(0x24), unit.read32(0xffc), unit.read32(0x2000), unit.read32(-4)]).toEqual([0xd, 0, 0, 0]);
    const narrow = new HandMadeUnit({ granules: ['16KiB'], outputBits: 32, eventBits: 3, commandBits: 5 }).unit;
    expect([4, 0x14].map((offset) => narrow.read32(offset).toString(16))).toEqual(['a30010', '20']);
  });

  it('do not change while what they are for is enabled', () => {
    const { unit } = new HandMadeUnit();
    unit.write64(0x80, 0x1000, 0);
    unit.write64(0x90, 0x1000, 0);
    unit.write64(0xa0, 0x1000, 0);
    unit.write32(0x9c, 7);
    unit.write32(0, 0);
    expect([0x80, 0x90, 0xa0, 0].map((offset) => unit.read32(offset))).toEqual([
      STREAMS,
      COMMANDS | 4,
      0x13_0004,
      0x540_101a,
    ]);
    expect(unit.read32(0x9c)).not.toBe(7);
    unit.write32(0x20, 0);
    unit.write64(0x80, 0x1000, 0);
    expect(unit.read32(0x80)).toBe(0x1000);
  });
});

describe('the command queue of a simulated SMMU', () => {
  it('executes commands around its end', () => {
    const made = new HandMadeUnit();
    const first = made.command(0x46n);
    const cons = Array.from({ length: 40 }, () => made.command(0x46n));
    expect([cons[0], cons.at(-1), made.unit.read32(0x60)]).toEqual([first + 1, (first + 40) & 31, 0]);
  });

  it.each([
    ['an opcode that it does not know', 0x7fn],
    ['a command of EL2', 0x20n],
    ['a CMD_SYNC with a reserved signal', 0x46n | (3n << 12n)],
  ])('stops at %s, until the error is acknowledged', (_, command) => {
    const made = new HandMadeUnit();
    const before = made.command(0x46n);
    expect([made.command(command), made.unit.read32(0x60)]).toEqual([before | (1 << 24), 1]);
    expect(made.command(0x46n)).toBe(before | (1 << 24));
    // Acknowledged, but not repaired: it stops again, which inverts the bit again.
    made.unit.write32(0x64, 1);
    expect([made.unit.read32(0x9c), made.unit.read32(0x60)]).toEqual([before | (1 << 24), 0]);
    made.write(COMMANDS + 16 * before, 0x46n);
    made.unit.write32(0x64, 0);
    expect(made.unit.read32(0x9c)).toBe(before + 2);
  });

  it('stops where the queue is not in memory', () => {
    const made = new HandMadeUnit();
    made.unit.write32(0x20, 0);
    made.unit.write64(0x90, 0x4000_0004, 0);
    made.unit.write32(0x98, 1);
    made.unit.write32(0x9c, 0);
    made.unit.write32(0x20, 8);
    expect([made.unit.read32(0x9c), made.unit.read32(0x60)]).toEqual([2 << 24, 1]);
  });

  it('drops the configuration of a range of StreamIDs', () => {
    const made = new HandMadeUnit();
    made.write(TABLES[0]!, BigInt(TABLES[1]!) | 3n);
    made.write(TABLES[1]! + 8, 0x20_0441n);
    made.memory.u8[DATA] = 4;
    expect(made.reads(DATA)).toBe(4);
    made.write(STREAMS + 0x20 * 64, 0n);
    // 0x00 to 0x1f, and 0x20 to 0x3f.
    made.command(0x04n, 4n);
    expect(made.reads(DATA)).toBe(4);
    made.command(0x04n | (0x3fn << 32n), 4n);
    expect(made.reads(DATA)).toBe('iommu-error');
  });

  it('waits, and CR0 keeps its value, while a device relies on its translations', () => {
    const made = new HandMadeUnit();
    const before = made.command(0x46n);
    made.space.freeze?.(true);
    expect(made.command(0x46n)).toBe(before);
    made.unit.write32(0x20, 0);
    expect(made.unit.read32(0x24)).toBe(0xd);
    made.space.freeze?.(false);
    expect(made.command(0x46n)).toBe(before + 2);
  });
});
