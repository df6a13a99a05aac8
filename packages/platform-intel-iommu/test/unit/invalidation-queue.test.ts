import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { intelIommuOptionsSchema, SimulatedVtd } from '../../src/index.ts';
import { FailingInvalidationQueue } from '../../src/unit/failing-invalidation-queue.ts';
import { VtdUnit } from '../../src/unit/vtd-unit.ts';

const [PAGE, DOMAIN] = [4096, 5];
const [IQH, IQT, IQA, FSTS, GCMD] = [0x80, 0x88, 0x90, 0x34, 0x18] as const;

/** A unit that records what is written to it, and shows errors of its own on request. */
class WatchedVtd extends SimulatedVtd {
  readonly writes: string[] = [];
  /** Errors that the fault status has beside its own, until they are cleared. */
  errors = 0;
  /** Does not see the tail, as a unit that hangs. */
  isDeaf = false;
  reads = 0;

  override read32(offset: number): number {
    this.reads++;
    return offset === FSTS ? super.read32(offset) | this.errors : super.read32(offset);
  }

  override write32(offset: number, value: number): void {
    this.writes.push(`${offset.toString(16)}=${value.toString(16)}`);
    if (offset === FSTS) this.errors &= ~value;
    if (offset === IQT && this.isDeaf) return;
    super.write32(offset, value);
  }
}

function openQueue(unitOptions: object = {}) {
  const memory = new GuestMemory(new SharedArrayBuffer(8 * PAGE));
  const facility = new WatchedVtd({ ...intelIommuOptionsSchema.parse({ unit: unitOptions }).unit, memory });
  const unit = new VtdUnit(facility, memory, { domain: DOMAIN, invalidation: 'queued' });
  return { memory, facility, unit };
}

function startQueue(unitOptions: object = {}) {
  const opened = openQueue(unitOptions);
  opened.unit.start(0);
  const base = opened.facility.read32(IQA) & -PAGE;
  opened.facility.writes.length = 0;
  /** The words of descriptors from `first` on. */
  const descriptors = (first: number, count: number, bytes = 16): number[][] =>
    Array.from({ length: count }, (_, i) => {
      const at = (base + (first + i) * bytes) / 4;
      return [...opened.memory.u32.subarray(at, at + bytes / 4)];
    });
  return { ...opened, base, descriptors };
}

describe('a unit with an invalidation queue', () => {
  it('gets the queue before the root table, drops everything through it, and only then translates', () => {
    const { facility, unit } = openQueue();
    unit.start(0x5000);
    const base = facility.read32(IQA);
    expect(facility.writes).toEqual([
      '38=80000000',
      '34=70',
      '88=0',
      '8c=0',
      `90=${base.toString(16)}`,
      '94=0',
      '18=4000000',
      '20=5000',
      '24=0',
      '18=44000000',
      '88=30',
      '8c=0',
      '18=84000000',
    ]);
  });

  it('executes a context, a translation and a wait descriptor, in this order', () => {
    const { descriptors, facility, memory } = startQueue();
    const status = descriptors(2, 1)[0]![2]!;
    expect(descriptors(0, 3)).toEqual([
      [0x11, 0, 0, 0],
      [0x5_00d2, 0, 0, 0],
      [0x25, 1, status, 0],
    ]);
    expect([memory.u32[status / 4], facility.read32(IQH)]).toEqual([1, 0x30]);
  });

  it('has descriptors of 256 bits and drops PASIDs where it has scalable mode', () => {
    const { descriptors, facility } = startQueue({ scalableMode: true });
    expect(facility.read32(IQA) & 0x800).toBe(0x800);
    expect(descriptors(0, 4, 32).map(([first]) => first)).toEqual([0x11, 0x37, 0x5_00d2, 0x25]);
    expect(facility.read32(IQH)).toBe(0x80);
  });

  it.each([
    [0xfffff, 1, 0xffff_f000, 0],
    [0xffffd, 2, 0xffff_c002, 0],
    [0x34_5678, 1, 0x4567_8000, 3],
  ])('names the smallest block around page %i and %i', (page, count, low, high) => {
    const { descriptors, unit } = startQueue();
    expect(unit.invalidatePages(page, count)).toBe(true);
    expect(descriptors(3, 2)).toEqual([
      [0x5_00f2, 0, low, high],
      [0x25, 2, expect.any(Number), 0],
    ]);
  });

  it('drops the domain where a block is too large', () => {
    const { descriptors, unit } = startQueue();
    expect(unit.invalidatePages(0, 2 ** 19)).toBe(true);
    expect(descriptors(3, 1)).toEqual([[0x5_00e2, 0, 0, 0]]);
  });

  it('reads no register while the unit answers at once', () => {
    const { facility, unit } = startQueue();
    facility.reads = 0;
    unit.invalidatePages(1, 1);
    expect([facility.writes, facility.reads]).toEqual([['88=50', '8c=0'], 0]);
  });

  it('goes around the end of the queue', () => {
    const { facility, unit } = startQueue();
    for (let i = 0; i < 300; i++) expect(unit.invalidatePages(i, 1)).toBe(true);
    expect(facility.read32(IQH)).toBe(((3 + 600) % 256) * 16);
    expect(unit.invalidateAll()).toBe(true);
  });

  it('stops the unit, takes the queue back, and frees it', () => {
    const { facility, memory, unit } = startQueue();
    expect(unit.stop()).toBe(true);
    expect([facility.read32(0x1c), memory.allocated]).toEqual([0x4000_0000, 0]);
  });

  it('keeps the queue while the unit does not confirm its stop', () => {
    const { facility, memory, unit } = startQueue();
    facility.isDeaf = true;
    expect(unit.stop()).toBe(false);
    expect(memory.allocated).toBeGreaterThan(0);
  });

  it('is refused where the unit has none, and frees nothing that it did not take', () => {
    expect(() => openQueue({ queuedInvalidation: false })).toThrow(
      expect.objectContaining({ code: 'ERR_IOMMU_UNSUPPORTED', message: expect.stringContaining('ECAP.QI') }),
    );
    for (const pages of [1, 2]) {
      const memory = new GuestMemory(new SharedArrayBuffer(pages * PAGE));
      const facility = new SimulatedVtd({ ...intelIommuOptionsSchema.parse({}).unit, memory });
      const open = (): unknown => new VtdUnit(facility, memory, { domain: DOMAIN, invalidation: 'queued' });
      expect(open).toThrow(expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }));
      expect(memory.allocated).toBe(0);
    }
  });

  it('finds the queue that firmware left, and takes its place', () => {
    const { facility, memory, unit } = startQueue();
    const next = new VtdUnit(facility, memory, { domain: DOMAIN, invalidation: 'queued' });
    facility.errors = 0x10;
    next.start(0);
    expect([next.invalidatePages(1, 1), facility.errors]).toEqual([true, 0]);
    void unit;
  });
});

describe('a queue in which something goes wrong', () => {
  it('replaces a descriptor that the unit cannot execute, and says that it was not done', () => {
    const { descriptors, facility, memory } = openFailing({ invalidation: { nth: [2] } });
    const unit = new VtdUnit(facility.failing, memory, { domain: DOMAIN, invalidation: 'queued' });
    unit.start(0);
    expect([unit.invalidatePages(1, 1), unit.invalidatePages(2, 1), unit.invalidatePages(3, 1)]).toEqual([
      true,
      false,
      true,
    ]);
    // The second was at place 5. It says nothing now, and what is behind it was done.
    expect(descriptors(5)).toEqual([0x25, 0x4000_0000, descriptors(4)[2], 0]);
    expect(facility.simulated.read32(FSTS)).toBe(0);
    expect(facility.simulated.read32(IQH)).toBe(9 * 16);
  });

  it('says that a batch was not done which the unit gave up', () => {
    const { facility, memory } = openFailing({ timeout: { every: 2 } });
    const unit = new VtdUnit(facility.failing, memory, { domain: DOMAIN, invalidation: 'queued' });
    unit.start(0);
    const generation = (): number => new Int32Array(facility.simulated.state.control)[0]!;
    expect(unit.invalidatePages(1, 1)).toBe(true);
    const before = generation();
    expect([unit.invalidatePages(2, 1), generation()]).toEqual([false, before]);
    expect([unit.invalidatePages(3, 1), generation() > before]).toEqual([true, true]);
    expect(unit.stop()).toBe(true);
  });

  it('clears an error of a completion, and does not count on what was asked with it', () => {
    const { facility, unit } = startQueue();
    facility.isDeaf = true;
    facility.errors = 0x20;
    const realWrite = facility.writes.length;
    expect(unit.invalidatePages(1, 1)).toBe(false);
    expect(facility.writes.slice(realWrite)).toContain('34=20');
    facility.isDeaf = false;
    expect(unit.invalidatePages(2, 1)).toBe(true);
  });

  it('gives up in bounded time on a unit that hangs, and never writes over what it may still execute', () => {
    const { descriptors, facility, unit } = startQueue();
    facility.isDeaf = true;
    let submitted = 0;
    for (let i = 0; i < 200; i++) {
      facility.writes.length = 0;
      expect(unit.invalidatePages(100 + i, 1)).toBe(false);
      if (facility.writes.length > 0) submitted++;
    }
    // 256 places, of which one stays free: the head is at 3.
    expect(submitted).toBe(127);
    expect(descriptors(3, 1)).toEqual([[0x5_00f2, 0, 100 * PAGE, 0]]);
    facility.isDeaf = false;
    facility.write32(IQT, facility.read32(IQH));
    expect(unit.invalidatePages(1, 1)).toBe(false);
    facility.write64(IQT, ((3 + 254) % 256) * 16, 0);
    expect(unit.invalidatePages(1, 1)).toBe(true);
  });

  it('does not believe a head that is in no descriptor', () => {
    const { facility, memory } = openFailing({});
    const words: number[][] = [
      [0x1008, 0],
      [0x8, 0],
      [0, 1],
    ];
    for (const head of words) {
      const lying = Object.create(facility.simulated, {
        read32: { value: (offset: number) => (offset === FSTS ? 0x10 : facility.simulated.read32(offset)) },
        read64: {
          value: (offset: number, into: Uint32Array) =>
            offset === IQH ? into.set(head) : facility.simulated.read64(offset, into),
        },
        write64: {
          value: (offset: number, low: number, high: number) => {
            if (offset !== IQT) facility.simulated.write64(offset, low, high);
          },
        },
        write32: { value: (offset: number, value: number) => facility.simulated.write32(offset, value) },
        sourceId: { value: 0x20 },
      }) as SimulatedVtd;
      const unit = new VtdUnit(lying, memory, { domain: DOMAIN, invalidation: 'queued' });
      expect(() => unit.start(0)).toThrow(expect.objectContaining({ code: 'ERR_IOMMU_UNRESPONSIVE' }));
      facility.simulated.write32(GCMD, 0);
    }
  });
});

function openFailing(failures: object) {
  const memory = new GuestMemory(new SharedArrayBuffer(16 * PAGE));
  const checked = intelIommuOptionsSchema.parse({ invalidation: 'queued', failures });
  const simulated = new SimulatedVtd({ ...checked.unit, memory });
  const failing = new FailingInvalidationQueue(simulated, memory, checked.failures);
  const descriptors = (at: number): number[] => {
    const word = ((simulated.read32(IQA) & -PAGE) + at * 16) / 4;
    return [...memory.u32.subarray(word, word + 4)];
  };
  return { memory, facility: { simulated, failing }, descriptors };
}
