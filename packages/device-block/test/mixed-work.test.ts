import type { DeviceModel } from '@virtio-platform/core';
import {
  BlockDevice,
  SparseBacking,
  VIRTIO_BLK_F_RO,
  type BlockBacking,
  type BlockDeviceOptions,
  type BlockSettings,
  type MixedOptions,
} from '@virtio-platform/device-block';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runMixed, type MixedRun } from './mixed-run.ts';

/** A disk with everything that a disk can have. */
const ALL = {
  secureErase: { maxSectors: 16, maxSegments: 3, alignment: 4 },
  discard: { maxSectors: 24, maxSegments: 4, alignment: 8 },
  writeZeroes: { maxSectors: 8, maxSegments: 2 },
  lifetime: { preEolInfo: 1, typA: 3, typB: 4 },
  serial: 'disk-1',
};
/** Each kind of request often, and what the disk has to refuse. */
const OFTEN = {
  flushes: 0.05,
  discards: 0.1,
  writeZeroes: 0.1,
  secureErases: 0.1,
  queries: 0.1,
  switches: 0.05,
  conditions: ['past-end', 'unknown-type'],
} satisfies Partial<MixedOptions>;

function kinds(done: Awaited<ReturnType<typeof runMixed>>): string[] {
  return Object.keys(done.mismatches.counts);
}

describe('10,000 mixed requests', () => {
  it('of disks of any settings are as the model has them (random seeds)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          seed: fc.integer({ min: 0, max: 0xffff_ffff }),
          depth: fc.integer({ min: 1, max: 16 }),
          requests: fc.integer({ min: 1, max: 1000 }),
          blocks: fc.integer({ min: 1, max: 64 }),
          blockSize: fc.constantFrom(512, 1024, 4096),
          logical: fc.constantFrom(512, 1024, 4096),
          sizeMax: fc.option(fc.constantFrom(512, 1000, 4096), { nil: undefined }),
          segMax: fc.option(fc.integer({ min: 8, max: 16 }), { nil: undefined }),
          queues: fc.integer({ min: 1, max: 3 }),
          writeback: fc.boolean(),
          isReadOnly: fc.boolean(),
        }),
        async ({
          seed,
          depth,
          requests,
          blocks,
          blockSize,
          logical,
          sizeMax,
          segMax,
          queues,
          writeback,
          isReadOnly,
        }) => {
          const size = Math.max(blockSize, logical);
          const conditions = isReadOnly ? (['read-only', 'past-end'] as const) : OFTEN.conditions;
          const limits = logical === 4096 ? { secureErase: true, discard: true, writeZeroes: true } : {};
          const done = await runMixed({
            requests,
            seed,
            depth,
            settings: {
              ...ALL,
              ...limits,
              capacity: blocks * size,
              blockSize: logical,
              sizeMax: sizeMax === undefined ? undefined : Math.max(sizeMax, logical / 8),
              segMax,
              queues,
              writeback,
              readOnly: isReadOnly,
            },
            options: { ...OFTEN, blockSize: size, conditions },
          });
          expect(done.mismatches).toEqual({ counts: {}, first: [] });
          expect(done.requests).toBe(requests);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('blame no disk that shrinks, and grows again, while they are in flight', async () => {
    const resizes = [
      { after: 50, capacity: '16KiB' },
      { after: 52, capacity: '64KiB' },
      { after: 200, capacity: '32KiB' },
    ];
    for (let seed = 0; seed < 5; seed++) {
      const done = await runMixed({ requests: 400, seed, depth: 16, settings: { resizes }, options: OFTEN });
      expect(done.mismatches).toEqual({ counts: {}, first: [] });
    }
  });

  it('are all made on one disk', async () => {
    const done = await runMixed({ requests: 10_000, seed: 7, settings: ALL, options: OFTEN });
    expect(done.mismatches).toEqual({ counts: {}, first: [] });
    expect(done.requests).toBe(10_000);
  });
});

/** A disk that is right but for one of its operations. */
class LyingBacking extends SparseBacking implements BlockBacking {
  readonly #lie: Lie;
  #writes = 0;

  constructor(capacity: number, lie: Lie) {
    super(capacity);
    this.#lie = lie;
  }

  override read(offset: number, target: Uint8Array, at: number, length: number): void {
    super.read(this.#lie === 'reads the neighbour' && offset === 4096 ? 5120 : offset, target, at, length);
  }

  override write(offset: number, source: Uint8Array, at: number, length: number): void {
    if (this.#lie === 'loses one write' && this.#writes++ === 40) return;
    super.write(offset, source, at, length);
  }

  override discard(offset: number, length: number): void {
    if (this.#lie === 'discards too much')
      super.writeZeroes(offset, Math.min(length + 512, this.capacity - offset), false);
    if (this.#lie === 'discards too early') super.writeZeroes(Math.max(0, offset - 512), length, false);
  }

  override writeZeroes(offset: number, length: number, mayUnmap: boolean): void {
    const isShort = this.#lie === 'zeroes too little' || (this.#lie === 'zeroes too little with UNMAP' && mayUnmap);
    super.writeZeroes(offset, isShort ? length - 512 : length, mayUnmap);
  }
}
type Lie =
  | 'loses one write'
  | 'reads the neighbour'
  | 'discards too much'
  | 'discards too early'
  | 'zeroes too little'
  | 'zeroes too little with UNMAP';

function open(settings: BlockSettings, backing: BlockBacking, changes: Partial<BlockDeviceOptions> = {}): BlockDevice {
  return new BlockDevice(backing, { ...settings, queueSize: 64, byteOrder: 'little', ...changes });
}

describe('a device that lies is caught', () => {
  it.each<Lie>([
    'loses one write',
    'reads the neighbour',
    'discards too much',
    'discards too early',
    'zeroes too little',
    'zeroes too little with UNMAP',
  ])('where it %s, whatever the seed', async (lie) => {
    for (const seed of [1, 2, 3]) {
      const settings = { ...ALL, discard: true, writeZeroes: true, secureErase: false };
      const model = (given: BlockSettings): DeviceModel => open(given, new LyingBacking(given.capacity, lie));
      expect(kinds(await runMixed({ requests: 1500, seed, settings, model }))).toEqual(['data']);
    }
  });

  it.each<[string, MixedRun, string[]]>([
    [
      'has another identification',
      {
        model: (given) => open(given, new SparseBacking(given.capacity), { serial: 'disk-2' }),
        requests: 500,
        seed: 1,
      },
      ['data'],
    ],
    [
      'says another lifetime',
      {
        model: (given) =>
          open(given, new SparseBacking(given.capacity), { lifetime: { preEolInfo: 1, typA: 3, typB: 5 } }),
        requests: 500,
        seed: 1,
      },
      ['data'],
    ],
    [
      'says a reserved lifetime',
      {
        model: (given) =>
          open(given, new SparseBacking(given.capacity), { lifetime: { preEolInfo: 1, typA: 12, typB: 5 } }),
        settings: { lifetime: undefined },
        requests: 500,
        seed: 1,
      },
      ['data'],
    ],
    [
      'takes writes of a read-only disk',
      {
        model: (given) => {
          const device = open(given, new SparseBacking(given.capacity), { readOnly: false });
          return Object.defineProperty(device, 'features', { value: device.features.with(VIRTIO_BLK_F_RO) });
        },
        settings: { readOnly: true },
        options: { ...OFTEN, conditions: ['read-only'] },
        requests: 100,
        seed: 1,
      },
      ['unexpected'],
    ],
    [
      'takes requests behind its end',
      {
        model: (given) => {
          const backing = new SparseBacking(given.capacity);
          const device = open(given, backing);
          backing.capacity *= 2;
          return device;
        },
        options: { ...OFTEN, conditions: ['past-end'] },
        requests: 500,
        seed: 1,
      },
      ['unexpected'],
    ],
    [
      'refuses what it offers',
      {
        model: (given) => {
          const device = open(given, new SparseBacking(given.capacity), { discard: false });
          return Object.defineProperty(device, 'features', {
            value: open(given, new SparseBacking(given.capacity)).features,
          });
        },
        requests: 500,
        seed: 1,
      },
      ['status-error'],
    ],
    [
      'does not switch its cache',
      {
        model: (given) =>
          Object.defineProperty(open(given, new SparseBacking(given.capacity)), 'writeConfig', { value: () => {} }),
        options: OFTEN,
        requests: 500,
        seed: 1,
      },
      ['data'],
    ],
  ])('where it %s', async (_, run, expected) => {
    expect(
      kinds(await runMixed({ ...run, settings: { ...ALL, ...run.settings }, options: { ...OFTEN, ...run.options } })),
    ).toEqual(expected);
  });
});
