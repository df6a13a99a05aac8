import { describe, expect, it } from 'vitest';
import { intelIommuOptionsSchema, SimulatedVtd, type VtdFacility } from '../../src/index.ts';
import { GuestMemory } from '@virtio-platform/core/memory';
import { VtdUnit } from '../../src/unit/vtd-unit.ts';
const SIMULATED = intelIommuOptionsSchema.parse({}).unit;
const ROOT = 0x1_2345_6000;

/** A unit that records its register writes and answers with given values. */
class WatchedVtd extends SimulatedVtd {
  readonly writes: string[] = [];
  /** Low and high words that reads of 64 bits give. */
  readonly fixed = new Map<number, readonly [number, number]>();
  /** Words that reads of 32 bits give. */
  readonly fixed32 = new Map<number, number>();

  override read32(offset: number): number {
    return this.fixed32.get(offset) ?? super.read32(offset);
  }

  override read64(offset: number, words: Uint32Array): void {
    super.read64(offset, words);
    const fixed = this.fixed.get(offset);
    if (fixed !== undefined) words.set(fixed);
  }

  override write32(offset: number, value: number): void {
    this.writes.push(`${offset.toString(16)}=${value.toString(16)}`);
    super.write32(offset, value);
  }
}

/** The driver of a unit, by its registers, for domain 5. */
function openUnit(facility: VtdFacility): VtdUnit {
  const memory = new GuestMemory(new SharedArrayBuffer(4 * 4096));
  return new VtdUnit(facility, memory, { domain: 5, invalidation: 'registers' });
}

function startUnit(): { facility: WatchedVtd; unit: VtdUnit } {
  const facility = new WatchedVtd(SIMULATED);
  const unit = openUnit(facility);
  unit.start(ROOT);
  facility.writes.length = 0;
  return { facility, unit };
}

/** High word of a completed invalidation, by actual granularity. */
const answer = (actual: number): readonly [number, number] => [0, actual * 2 ** 25];

describe('VtdUnit', () => {
  it('sets the root table, drops every context and translation, and only then translates', () => {
    const facility = new WatchedVtd(SIMULATED);
    const unit = openUnit(facility);
    unit.start(ROOT);
    expect(facility.writes).toEqual([
      '38=80000000',
      '20=23456000',
      '24=1',
      '18=40000000',
      '28=0',
      '2c=a0000000',
      'f8=0',
      'fc=90030005',
      '18=80000000',
    ]);
    expect(unit.isTranslating).toBe(true);
  });

  it('stops what firmware left running before it starts', () => {
    const facility = new WatchedVtd(SIMULATED);
    openUnit(facility).start(0x1000);
    facility.writes.length = 0;
    openUnit(facility).start(ROOT);
    expect(facility.writes[0]).toBe('18=0');
    expect(facility.writes.at(-1)).toBe('18=80000000');
  });

  it('stops translation, and returns whether the unit confirmed it', () => {
    const { facility, unit } = startUnit();
    facility.fixed32.set(0x1c, 0xc000_0000);
    expect(unit.stop()).toBe(false);
    facility.fixed32.clear();
    facility.writes.length = 0;
    facility.write32(0x18, 2 ** 31);
    expect(unit.stop()).toBe(true);
    expect([facility.writes[1], unit.isTranslating]).toEqual(['18=0', false]);
  });

  it.each([
    [0xfffff, 1, 'f0=fffff000'],
    [0xffffe, 2, 'f0=ffffe001'],
    [0xffffd, 2, 'f0=ffffc002'],
    [0x200, 512, 'f0=200009'],
  ])('names the smallest block around page %i and %i', (page, count, address) => {
    const { facility, unit } = startUnit();
    expect(unit.invalidatePages(page, count)).toBe(true);
    expect(facility.writes).toEqual([address, 'f4=0', 'f8=0', 'fc=b0030005']);
  });

  it('invalidates the domain when a block is too large or the unit has no page invalidation', () => {
    const { facility, unit } = startUnit();
    unit.invalidatePages(0, 2 ** 19);
    expect(facility.writes).toEqual(['f8=0', 'fc=a0030005']);
    const words = new Uint32Array(2);
    facility.read64(0x8, words);
    facility.fixed.set(0x8, [words[0]!, words[1]! & ~0x80]);
    facility.writes.length = 0;
    openUnit(facility).invalidatePages(1, 1);
    expect(facility.writes).toEqual(['f8=0', 'fc=a0030005']);
  });

  it.each([
    ['nothing was done', answer(0), false],
    ['everything was dropped', answer(1), true],
    ['the domain was', answer(2), true],
    ['just the pages were', answer(3), true],
    ['it is never done', [0, 2 ** 31] as const, false],
  ])('returns success by the actual granularity: %s', (_name, words, expected) => {
    const { facility, unit } = startUnit();
    facility.fixed.set(0xf8, words);
    expect(unit.invalidatePages(3, 1)).toBe(expected);
  });

  it('does not accept pages instead of a domain', () => {
    const { facility, unit } = startUnit();
    facility.fixed.set(0xf8, answer(3));
    expect(unit.invalidatePages(0, 2 ** 19)).toBe(false);
  });

  it('flushes the write buffer of a unit that has one', () => {
    const { facility, unit } = startUnit();
    expect([unit.flushWriteBuffer(), facility.writes]).toEqual([true, []]);
    const words = new Uint32Array(2);
    facility.read64(0x8, words);
    facility.fixed.set(0x8, [words[0]! | 0x10, words[1]!]);
    const old = openUnit(facility);
    expect([old.flushWriteBuffer(), facility.writes]).toEqual([true, ['18=88000000']]);
    facility.fixed32.set(0x1c, 0x8800_0000);
    expect(old.flushWriteBuffer()).toBe(false);
  });

  it.each([
    ['the root table', 0x1c, 0],
    ['translation', 0x1c, 0x4000_0000],
  ])('gives up in bounded time where the status never shows %s', (_name, register, status) => {
    const facility = new WatchedVtd(SIMULATED);
    facility.fixed32.set(register, status);
    expect(() => openUnit(facility).start(ROOT)).toThrow(expect.objectContaining({ code: 'ERR_IOMMU_UNRESPONSIVE' }));
  });

  it('does not start when the first invalidation fails', () => {
    const facility = new WatchedVtd(SIMULATED);
    facility.fixed.set(0x28, [0, 0]);
    expect(() => openUnit(facility).start(ROOT)).toThrow(/first invalidation of all caches/);
    expect(facility.writes.join()).not.toContain('18=80000000');
  });

  it.each([0, 0xffff_ffff])('refuses a unit whose version register reads %i', (version) => {
    const nothing: VtdFacility = {
      sourceId: 0x20,
      read32: () => version,
      write32: () => {},
      read64: (_offset, words) => void words.fill(version),
      write64: () => {},
    };
    expect(() => openUnit(nothing)).toThrow(expect.objectContaining({ code: 'ERR_IOMMU_UNSUPPORTED' }));
  });

  it('reads the capabilities of QEMU 7.2', () => {
    const facility = new WatchedVtd(SIMULATED);
    facility.fixed.set(0x8, [0x2226_0206, 0xd2_008c]);
    facility.fixed.set(0x10, [0xf42, 0]);
    expect(openUnit(facility).capabilities).toEqual({
      widths: [39],
      largestWidth: 39,
      needsWriteBufferFlush: false,
      cachingMode: false,
      largePages: true,
      largestMask: 18,
      drainsReads: true,
      drainsWrites: true,
      passThrough: true,
      queuedInvalidation: true,
      interruptRemapping: false,
      scalableMode: false,
      invalidateAddress: 0xf0,
      iotlb: 0xf8,
      faultRecords: 0x220,
      faultRecordCount: 1,
    });
  });

  it('reads those of a unit with scalable mode and five levels', () => {
    const facility = new WatchedVtd(SIMULATED);
    facility.fixed.set(0x8, [0x2238_0e86, 0xd2_008c]);
    facility.fixed.set(0x10, [0x80f0_0f4a, 0x4800]);
    expect(openUnit(facility).capabilities).toMatchObject({
      widths: [39, 48, 57],
      largestWidth: 57,
      cachingMode: true,
      queuedInvalidation: true,
      interruptRemapping: true,
      scalableMode: true,
    });
  });
});
