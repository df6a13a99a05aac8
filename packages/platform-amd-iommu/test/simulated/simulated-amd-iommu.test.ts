import { describe, expect, it } from 'vitest';
import { BareUnit, PAGE } from '../amd-guest.ts';

const STATUS = 0x2020;
const COMMAND_HEAD = 0x2000;
const EVENT_HEAD = 0x2010;
const CONTROL = 0x18;
const RUNS = 0x18;

describe('the command buffer of a simulated AMD IOMMU', () => {
  it('stores what COMPLETION_WAIT says, once all before it is done', () => {
    const bare = new BareUnit();
    const store = bare.page();
    bare.command([store | 8 | 1, 1 << 28, 0x1234, 0x5678], [store | 2, 1 << 28, 1, 1]);
    expect([...bare.memory.u32.subarray(store / 4, store / 4 + 4)]).toEqual([0, 0, 0x1234, 0x5678]);
    expect([bare.unit.register(COMMAND_HEAD), bare.unit.register(STATUS)]).toEqual([0x20, RUNS | 4]);
    bare.unit.write64(STATUS, 4, 0);
    expect(bare.unit.register(STATUS)).toBe(RUNS);
  });

  it.each([
    ['an unknown operation', [0, 0xf << 28, 0, 0]],
    ['0', [0, 0, 0, 0]],
    ['reserved bits of COMPLETION_WAIT', [0, (1 << 28) | 0x10_0000, 0, 0]],
    ['a store outside of memory', [0x4000_0001, 1 << 28, 0, 0]],
    ['reserved bits of INVALIDATE_DEVTAB_ENTRY', [0x10_0020, 2 << 28, 0, 0]],
    ['reserved bits of INVALIDATE_IOMMU_PAGES', [0, (3 << 28) | 0x1_0000, 0, 0]],
    ['reserved bits of its address', [0, 3 << 28, 0x8, 0]],
    ['pages of nested translation', [0, 3 << 28, 0x4, 0]],
    ['translations of a device', [0, 4 << 28, 0, 0]],
    ['reserved bits of INVALIDATE_IOMMU_ALL', [1, 8 << 28, 0, 0]],
  ])('stops at a command that is none, and logs it: %s', (_what, words) => {
    const bare = new BareUnit();
    bare.command([0x20, 2 << 28, 0, 0], words, [0x20, 2 << 28, 0, 0]);
    expect([bare.unit.register(COMMAND_HEAD), bare.unit.register(STATUS)]).toEqual([0x10, 0x8 | 2]);
    expect(bare.events()).toEqual([[0, 0x5000_0000, expect.any(Number), 0]]);
    expect(bare.events()[0]![2]! % PAGE).toBe(0x10);
    bare.command([0x20, 2 << 28, 0, 0]);
    expect(bare.unit.register(COMMAND_HEAD)).toBe(0x10);
    // The driver clears and sets CmdBufEn: the unit goes on at the head that the driver wrote between.
    bare.unit.write64(CONTROL, 0x5, 0);
    bare.unit.write64(COMMAND_HEAD, 0x20, 0);
    bare.unit.write64(CONTROL, 0x1005, 0);
    expect([bare.unit.register(COMMAND_HEAD), bare.unit.register(STATUS) & 0x10]).toEqual([0x40, 0x10]);
  });

  it('knows INVALIDATE_IOMMU_ALL where the features say so', () => {
    const bare = new BareUnit({ invalidatesAll: false, levels: 5 });
    expect(bare.unit.register(0x30)).toBe(1 << 10);
    bare.drop();
    expect(bare.events()).toHaveLength(1);
    expect(new BareUnit().unit.register(0x30)).toBe((2 << 10) | 0x40);
  });

  it('that is not in memory stops with an event of its own', () => {
    const bare = new BareUnit();
    bare.unit.write64(0x08, 0x4000_0000, 8 << 24);
    bare.command([0, 8 << 28, 0, 0]);
    expect(bare.events()).toEqual([[0, 0x6000_0000, 0x4000_0000, 0]]);
  });

  it('executes nothing while the unit does not translate, or a device relies on its addresses', () => {
    const bare = new BareUnit();
    bare.space.freeze!(true);
    bare.drop();
    bare.unit.write64(CONTROL, 0, 0);
    expect([bare.unit.register(COMMAND_HEAD), bare.unit.register(CONTROL)]).toEqual([0, 0x1005]);
    bare.space.freeze!(false);
    bare.unit.write64(CONTROL, 0x1004, 0);
    bare.drop();
    expect([bare.unit.register(COMMAND_HEAD), bare.unit.register(STATUS)]).toEqual([0, 0]);
    bare.unit.write64(CONTROL, 0x1005, 0);
    expect(bare.unit.register(COMMAND_HEAD)).toBe(0x20);
  });
});

describe('the event log of a simulated AMD IOMMU', () => {
  it('stops where there is no room, and goes on once the driver has cleared and set EventLogEn', () => {
    const bare = new BareUnit();
    bare.device(1, 0, 0);
    for (let i = 0; i < 300; i++) bare.reads(i * PAGE);
    expect([bare.events().length, bare.unit.register(STATUS)]).toEqual([255, 0x10 | 3]);
    bare.unit.write64(EVENT_HEAD, 255 * 16, 0);
    bare.reads(0);
    expect(bare.events()).toHaveLength(255);
    bare.unit.write64(CONTROL, 0x1001, 0);
    bare.unit.write64(STATUS, 1, 0);
    bare.unit.write64(CONTROL, 0x1005, 0);
    bare.reads(0);
    expect([bare.unit.register(0x2018), bare.unit.register(STATUS)]).toEqual([0, RUNS | 2]);
  });

  it('is never written where the unit has none; the status of the PCI function shows a refused access', () => {
    const bare = new BareUnit({ eventLog: false });
    bare.device(1, 0, 0);
    expect(bare.unit.readConfig(4) & 0x0800_0000).toBe(0);
    bare.reads(0);
    expect([bare.events(), bare.unit.readConfig(4)]).toEqual([[], 0x0810_0000]);
    bare.unit.writeConfig(4, 0x0006);
    expect(bare.unit.readConfig(4)).toBe(0x0810_0006);
    bare.unit.writeConfig(4, 0x0800_0006);
    expect(bare.unit.readConfig(4)).toBe(0x0010_0006);
  });
});
