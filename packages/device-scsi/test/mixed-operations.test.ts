import * as fc from 'fast-check';
import { NOTHING_LEFT } from '@virtio-platform/conformance/testing';
import { SparseBacking } from '@virtio-platform/device-kit';
import { DiskUnit, ScsiDevice, type ScsiSettingsInput } from '@virtio-platform/device-scsi';
import { describe, expect, it } from 'vitest';
import { runMixed, settingsOf } from './scsi-run.ts';

/** Runs of this many operations, 10,000 in all. */
const RUNS = 20;
const OPERATIONS = 500;

const ADDRESSES = [
  { target: 0, lun: 0 },
  { target: 0, lun: 1 },
  { target: 7, lun: 300 },
] as const;

const disk = fc.record({
  blockSize: fc.constantFrom(512, 4096),
  capacity: fc.constantFrom(32_768, 65_536, 131_072),
  readOnly: fc.boolean(),
  plugged: fc.boolean(),
});

const change = fc.record({
  after: fc.integer({ min: 1, max: OPERATIONS }),
  do: fc.constantFrom('unplug', 'plug', 'resize', 'reset'),
  at: fc.nat(),
  capacity: fc.constantFrom(32_768, 49_152, 131_072),
});

/** Any host, with what happens to its disks. */
const hosts: fc.Arbitrary<ScsiSettingsInput> = fc
  .record({
    disks: fc.array(disk, { minLength: 1, maxLength: 3 }),
    changes: fc.array(change, { maxLength: 6 }),
    queues: fc.integer({ min: 1, max: 3 }),
    every: fc.integer({ min: 0, max: 60 }),
  })
  .map(({ disks, changes, queues, every }) => ({
    disks: disks.map((given, at) => ({ ...given, ...ADDRESSES[at] })),
    changes: changes.map(({ at, capacity, ...given }) => {
      const { target, lun } = ADDRESSES[at % disks.length]!;
      return { ...given, target, lun, ...(given.do === 'resize' ? { capacity } : {}) };
    }),
    queues,
    ...(every < 10 ? {} : { slow: { every, delay: 1 } }),
  }));

/** How often all queues are reset, with answers and events that the driver has not taken: never, or so. */
const resetEvery = fc.option(fc.integer({ min: 5, max: 100 }), { nil: undefined });

describe('10,000 operations of all kinds', () => {
  it('are answered as the model says, on any host, whatever happens to its disks', { timeout: 120_000 }, async () => {
    const run = fc.record({
      host: hosts,
      seed: fc.nat(0xffff_ffff),
      depth: fc.integer({ min: 1, max: 24 }),
      resetEvery,
    });
    await fc.assert(
      fc.asyncProperty(run, async ({ host, seed, depth, resetEvery: every }) => {
        const settings = settingsOf(host);
        const { queues, changes, slow } = settings;
        const units = settings.disks.map((each) => new DiskUnit(each, new SparseBacking(each.capacity)));
        const device = new ScsiDevice(units, { queues, queueSize: 64, changes, slow, byteOrder: 'little' });
        const options = { requests: OPERATIONS, seed, depth, blockSize: 4096, resetEvery: every };
        const { requests, mismatches, error, left } = await runMixed(device, settings, options);
        expect({ error, requests, first: mismatches.first, left }).toEqual({
          error: undefined,
          requests: OPERATIONS,
          first: [],
          left: NOTHING_LEFT,
        });
      }),
      { numRuns: RUNS },
    );
  });
});
