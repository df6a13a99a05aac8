import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { intelIommuOptionsSchema, SimulatedVtd } from '../../src/index.ts';
import { VtdUnit } from '../../src/unit/vtd-unit.ts';

const ROOT = 0x2345_6000;
const PAGES = 8;

/** A unit that records its register writes, ignores bits of its commands, and does not clear others. */
class WatchedVtd extends SimulatedVtd {
  readonly writes: string[] = [];
  ignored = 0;
  stuck = 0;

  override write32(offset: number, value: number): void {
    this.writes.push(`${offset.toString(16)}=${value.toString(16)}`);
    super.write32(offset, offset === 0x18 ? ((value & ~this.ignored) | this.stuck) >>> 0 : value);
  }
}

function openUnit(unitOptions: object = { interruptRemapping: true }) {
  const memory = new GuestMemory(new SharedArrayBuffer(PAGES * 4096));
  const facility = new WatchedVtd({ ...intelIommuOptionsSchema.parse({ unit: unitOptions }).unit, memory });
  const open = (invalidation: 'registers' | 'queued' = 'queued'): VtdUnit =>
    new VtdUnit(facility, memory, { domain: 5, invalidation, interruptRemapping: true });
  const take = (): string[] => facility.writes.splice(0);
  return { memory, facility, open, take };
}

describe('interrupt remapping of VtdUnit', () => {
  it('is enabled with an empty table behind the queue, and before translation; and disabled the other way round', () => {
    const { memory, facility, open, take } = openUnit();
    const unit = open();
    unit.start(ROOT);
    const [queue, table] = [facility.read32(0x90), facility.read32(0xb8)];
    expect(table % 4096).toBe(7);
    expect(take()).toEqual([
      '38=80000000',
      '34=70',
      '88=0',
      '8c=0',
      `90=${queue.toString(16)}`,
      '94=0',
      '18=4000000',
      `b8=${table.toString(16)}`,
      'bc=0',
      '18=5000000',
      '88=20',
      '8c=0',
      '18=6000000',
      '20=23456000',
      '24=0',
      '18=46000000',
      '88=50',
      '8c=0',
      '18=86000000',
    ]);
    // A descriptor for all interrupt entries, and a wait descriptor.
    expect([...memory.u32.subarray(queue / 4, queue / 4 + 5)]).toEqual([4, 0, 0, 0, 0x25]);
    const page = memory.u32.subarray((table - 7) / 4, (table - 7) / 4 + 1024);
    expect([facility.read32(0x1c), page.every((word) => word === 0)]).toEqual([0xc700_0000, true]);
    expect([unit.stop(), memory.allocated]).toEqual([true, 0]);
    expect(take()).toEqual(['18=6000000', '88=80', '8c=0', '88=a0', '8c=0', '18=4000000', '18=0']);
  });

  it('blocks the compatibility format where firmware let it through', () => {
    const { facility, open } = openUnit();
    facility.write32(0x18, 0x280_0000);
    open().start(ROOT);
    expect(facility.read32(0x1c)).toBe(0xc700_0000);
  });

  it('is stopped where firmware left it on, also by a driver that does not use it', () => {
    const { memory, facility, take } = openUnit();
    facility.write32(0x18, 0x200_0000);
    take();
    new VtdUnit(facility, memory, { domain: 5, invalidation: 'registers' }).start(ROOT);
    expect([take()[0], facility.read32(0x1c)]).toEqual(['18=0', 0xc000_0000]);
  });

  it('goes on with the entries of a former owner, and is never off meanwhile', () => {
    const { memory, facility, open, take } = openUnit();
    const former = open();
    former.start(ROOT);
    take();
    open().start(ROOT, { isTakenOver: true, interrupts: Uint32Array.of(0x0041_0001, 0x100, 0, 0) });
    const table = (facility.read32(0xb8) - 7) / 4;
    expect([...memory.u32.subarray(table, table + 5)]).toEqual([0x0041_0001, 0x100, 0, 0, 0]);
    const commands = take().flatMap((write) => (write.startsWith('18=') ? [parseInt(write.slice(3), 16)] : []));
    expect(commands.every((value) => (value & 0x200_0000) !== 0)).toBe(true);
  });

  it('is refused without a queue, and by a unit that cannot', () => {
    expect(() => openUnit().open('registers')).toThrow(
      expect.objectContaining({
        code: 'ERR_IOMMU_UNSUPPORTED',
        message: expect.stringMatching(/needs queued invalidation/),
        hint: 'use platform.invalidation: queued',
      }),
    );
    expect(() => openUnit({}).open()).toThrow(
      expect.objectContaining({ code: 'ERR_IOMMU_UNSUPPORTED', message: expect.stringMatching(/\(ECAP\.IR\)/) }),
    );
  });

  it.each([
    ['set the interrupt remapping table', 0x100_0000],
    ['enable interrupt remapping', 0x200_0000],
  ])('is given up in bounded time where the unit does not %s', (what, ignored) => {
    const { facility, open, memory } = openUnit();
    const unit = open();
    facility.ignored = ignored;
    expect(() => unit.start(ROOT)).toThrow(
      expect.objectContaining({ code: 'ERR_IOMMU_UNRESPONSIVE', message: expect.stringContaining(what) }),
    );
    expect([unit.stop(), memory.allocated]).toEqual([true, 0]);
  });

  it.each([
    ['interrupt entries', 4],
    ['translations', 2],
  ])('is disabled, but keeps its table, where the unit does not confirm that it dropped %s', (_what, type) => {
    const { memory, facility, open } = openUnit();
    const unit = open();
    unit.start(ROOT);
    const { allocated } = memory;
    // No descriptor of this type is known any more.
    const queue = facility.read32(0x90);
    const submit = facility.write64.bind(facility);
    facility.write64 = (offset, low, high) => {
      for (let at = queue; at < queue + 4096; at += 16)
        if ((memory.u32[at / 4]! & 0xf) === type) memory.u32[at / 4] = 0xe;
      submit(offset, low, high);
    };
    expect([unit.stop(), memory.allocated, facility.read32(0x1c)]).toEqual([false, allocated, 0x4100_0000]);
  });

  it.each([
    ['interrupt remapping', 0x200_0000, 0x4300_0000],
    ['the queue', 0x400_0000, 0x4500_0000],
  ])('keeps its table where the unit does not disable %s', (_what, bit, status) => {
    const { memory, facility, open } = openUnit();
    const unit = open();
    unit.start(ROOT);
    const { allocated } = memory;
    facility.stuck = bit;
    expect([unit.stop(), memory.allocated, facility.read32(0x1c)]).toEqual([false, allocated, status]);
  });

  it('leaves nothing allocated where the unit enables nothing at all', () => {
    const { memory, facility, open } = openUnit();
    const unit = open();
    facility.ignored = 0xffff_ffff;
    expect(() => unit.start(ROOT)).toThrow(/did not enable queued invalidation/);
    expect([unit.stop(), memory.allocated]).toEqual([true, 0]);
  });

  it('leaves nothing allocated where there is no room for its table', () => {
    const { memory, open } = openUnit();
    while (memory.size - memory.allocated > 3 * 4096) memory.allocate(4096);
    memory.allocate(4096);
    const before = memory.allocated;
    expect(() => open()).toThrow(expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }));
    expect(memory.allocated).toBe(before);
  });
});
