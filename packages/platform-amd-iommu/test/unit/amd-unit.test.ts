import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { amdIommuOptionsSchema } from '../../src/index.ts';
import { AmdUnit } from '../../src/unit/amd-unit.ts';
import { FailingAmdFacility } from '../../src/unit/failing-amd-facility.ts';
import { MIB, MoodyUnit, PAGE } from '../amd-guest.ts';

/** A started unit, and the commands that it is given, each as four words. */
function startUnit(unit: object = {}) {
  const memory = new GuestMemory(new SharedArrayBuffer(4 * MIB));
  const registers = new MoodyUnit(memory, amdIommuOptionsSchema.parse({ unit }).unit);
  const driver = new AmdUnit(registers, memory, 5);
  const table = memory.allocate(PAGE, PAGE);
  driver.start(table, PAGE);
  const base = registers.register(0x08) / 4;
  let seen = registers.register(0x2008) / 16;
  const given = (): number[][] => {
    const tail = registers.register(0x2008) / 16;
    const commands: number[][] = [];
    for (; seen !== tail; seen = (seen + 1) % 256)
      commands.push([...memory.u32.subarray(base + seen * 4, base + seen * 4 + 4)]);
    return commands;
  };
  const buffer = (): Uint32Array => memory.u32.slice(base, base + 1024);
  return { memory, registers, driver, table, given, buffer };
}

describe('AmdUnit', () => {
  it('tells the unit where its tables are and enables all three at once', () => {
    const { registers, driver, table } = startUnit();
    expect(registers.register(0x00)).toBe(table);
    expect([registers.register(0x18), registers.register(0x2020)]).toEqual([0x1005, 0x18]);
    expect(driver.isTranslating).toBe(true);
    expect(driver.stop()).toBe(true);
    expect([registers.register(0x18), registers.register(0x2020)]).toEqual([0, 0]);
  });

  it.each([
    [0x7ffff, 1, [0x7fff_f002, 0]],
    [0x7fffe, 2, [0x7fff_e003, 0]],
    [0x40, 3, [0x4_1003, 0]],
    [0x3f, 2, [0x3_f003, 0]],
    [0x10_0000, 512, [0x000f_f003, 1]],
  ])('invalidates the block around pages 0x%x, %i of them', (page, count, [low, high]) => {
    const { driver, given } = startUnit();
    expect(driver.invalidatePages(page, count)).toBe(true);
    expect(given()[0]).toEqual([0, 0x3000_0005, low, high]);
  });

  it.each([
    [true, [[0, 0x8000_0000, 0, 0]]],
    [
      false,
      [
        [0x20, 0x2000_0000, 0, 0],
        [0, 0x3000_0005, 0xffff_f003, 0x7fff_ffff],
      ],
    ],
  ])('invalidates all with the command for it, or one by one: %s', (invalidatesAll, commands) => {
    const { driver, given } = startUnit({ invalidatesAll });
    expect(driver.invalidateAll()).toBe(true);
    expect(given().slice(0, -1)).toEqual(commands);
  });

  it('writes over no command that the unit has not executed', () => {
    const { driver, registers, buffer } = startUnit();
    registers.isDeaf = true;
    // Two of 256 places for each batch, and one stays free.
    for (let i = 0; i < 127; i++) driver.invalidatePages(1, 1);
    const commands = buffer();
    for (let i = 0; i < 200; i++) expect(driver.invalidatePages(2, 1)).toBe(false);
    expect(buffer()).toEqual(commands);
    registers.isDeaf = false;
    expect(driver.invalidateAll()).toBe(true);
    expect(registers.register(0x2000)).toBe(registers.register(0x2008));
  });

  it('believes no head outside of the buffer', () => {
    const { driver, registers, buffer } = startUnit();
    registers.isDeaf = true;
    for (let i = 0; i < 200; i++) driver.invalidatePages(1, 1);
    const commands = buffer();
    registers.write64(0x2000, 0x8000, 0);
    expect(driver.invalidateAll()).toBe(false);
    expect(buffer()).toEqual(commands);
  });
});

describe('FailingAmdFacility', () => {
  it('loses the batches of its schedule, and no command that drops everything', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(4 * MIB));
    const { unit } = amdIommuOptionsSchema.parse({ unit: { invalidatesAll: false } });
    const failing = new FailingAmdFacility(new MoodyUnit(memory, unit), memory, { every: 2 });
    const driver = new AmdUnit(failing, memory, 5);
    driver.start(memory.allocate(PAGE, PAGE), PAGE);
    const done = Array.from({ length: 6 }, (_, i) => driver.invalidatePages(i, 1));
    expect(done).toEqual([true, false, true, false, true, false]);
    expect([driver.invalidateAll(), driver.invalidateAll(), driver.stop()]).toEqual([true, true, true]);
  });
});
