import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { Random } from '@virtio-platform/device-kit';
import { ALL_BALLOON_FEATURES } from '@virtio-platform/device-balloon';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BalloonLoop } from './balloon-loop.ts';

const KINDS = ['inflate', 'deflate', 'report', 'use', 'free', 'target', 'statistics', 'hints', 'serve'] as const;
/** What a driver or a device may do next. A number says how much, or which. */
type Operation = readonly [kind: (typeof KINDS)[number], value: number];

const anyOperation: fc.Arbitrary<Operation> = fc.tuple(
  fc.constantFrom(...KINDS, 'use' as const),
  fc.integer({ min: 0, max: 300 }),
);

const anyCase = fc.record({
  operations: fc.array(anyOperation, { minLength: 0, maxLength: 1000, size: 'max' }),
  lacks: fc.subarray([...ALL_BALLOON_FEATURES]),
  pageSize: fc.constantFrom(4096, 4096, 65_536),
  buffers: fc.constantFrom('premapped', 'streaming', 'coherent'),
  byteOrder: fc.constantFrom('little', 'big'),
});

/** Operations of all runs. */
let total = 0;

/** A guest with a balloon, and what has to be true of it after each operation. */
class Model {
  readonly #loop: BalloonLoop;
  readonly #random = new Random(5);
  /** Pages that the guest uses, with the byte that each is full of. */
  readonly #used = new Map<number, number>();

  constructor(loop: BalloonLoop) {
    this.#loop = loop;
  }

  do([kind, value]: Operation): void {
    const { driver, device } = this.#loop;
    const { memory } = this.#loop.rings;
    if (kind === 'inflate') driver.inflate(1 + (value % 64));
    else if (kind === 'deflate') driver.deflate(1 + (value % 64), this.#random);
    else if (kind === 'report') driver.report(1 + (value % 8));
    else if (kind === 'target') new DataView(device.config.buffer).setUint32(0, value * 16, true);
    else if (kind === 'statistics') device.askStatistics();
    else if (kind === 'hints') this.#hint();
    else if (kind === 'use') {
      const page = driver.pages.take();
      if (page < 0) return;
      memory.u8.fill(1 + (value % 100), page, page + driver.pages.size);
      this.#used.set(page, 1 + (value % 100));
    } else if (kind === 'free') {
      const page = [...this.#used.keys()][value % Math.max(1, this.#used.size)];
      if (page === undefined) return;
      driver.pages.give(page);
      this.#used.delete(page);
    } else this.#serve();
  }

  /** The device handles everything, and the driver half takes it back: then both agree. */
  #serve(): void {
    const { driver, device, rings } = this.#loop;
    for (let i = 0; i < 3; i++) this.#loop.run();
    driver.configChanged();
    const { reports, poison, pages } = driver;
    if (reports !== undefined && reports.poll() > 0) {
      if (poison !== undefined) expect(reports.firstUnpoisoned(poison)).toBe(-1);
      reports.release();
    }
    expect([rings.reported, driver.inFlight]).toEqual([[], 0]);
    const units = pages.size / 4096;
    expect(device.given.count).toBe(driver.size * units);
    expect(new DataView(device.config.buffer).getUint32(4, true)).toBe(driver.size * units);
    for (const [page, byte] of this.#used) {
      expect(device.given.has(page / 4096)).toBe(false);
      const content = rings.memory.u8;
      expect([content[page], content[page + pages.size - 1], content[page + 1000]]).toEqual([byte, byte, byte]);
    }
  }

  /** The device asks for hints, where it has the feature. */
  #hint(): void {
    const { device, driver } = this.#loop;
    if (driver.hints === undefined) return;
    device.hints.ask();
    new DataView(device.config.buffer).setUint32(8, device.hints.configured, true);
    driver.configChanged();
  }

  end(): void {
    this.#serve();
    this.#loop.end();
  }
}

describe('both halves of a balloon', () => {
  it('agree about every page, whatever happens in which order', () => {
    fc.assert(
      fc.property(anyCase, ({ operations, lacks, pageSize, buffers, byteOrder }) => {
        const all = ALL_BALLOON_FEATURES.minus(FeatureSet.of(...lacks));
        const accepted = byteOrder === 'little' ? all.with(VIRTIO_F_VERSION_1) : all;
        const loop = new BalloonLoop({ accepted, pageSize, buffers, byteOrder });
        const model = new Model(loop);
        for (const operation of operations) model.do(operation);
        total += operations.length;
        model.end();
      }),
      { numRuns: 40 },
    );
    expect(total).toBeGreaterThanOrEqual(10_000);
  });
});
