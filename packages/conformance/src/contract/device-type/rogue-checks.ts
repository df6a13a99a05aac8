import assert from 'node:assert/strict';
import { configSize, DeviceError, isCodedError, messageOf } from '@virtio-platform/core';
import { Random } from '@virtio-platform/device-kit';
import { skipCheck, type ContractCheck } from '../../contract-check.ts';
import { checkedWorkloads, type DeviceTypeSubject } from './device-type-subject.ts';
import type { TrialOptions } from './device-trial.ts';
import type { Misconduct } from './trial-device.ts';
import { assertNothingLeft, runOnce } from './workload-checks.ts';

/** Places at which one byte is changed. */
const CORRUPTIONS = 16;

/** A device that breaks the rules may stall: nothing is verified of it that more time could show. */
const STALLED_MS = 400;

/** What a device does to its used buffers. */
const USED: Readonly<Record<string, Misconduct>> = {
  'gives used lengths beyond the buffer': { used: (_written, { writableBytes }) => writableBytes + 4096 },
  'gives the longest used length': { used: () => 0xffff_ffff },
  'gives used lengths that are short': { used: (written) => Math.max(0, written - 1) },
  'gives used length 0': { used: () => 0 },
  'gives back an id that is no buffer': { usedId: () => 0xffff },
  'gives back another id': { usedId: (id) => id + 1 },
  'never gives back a buffer': { drops: (nth) => nth === 3 },
  'gives back nothing': { drops: () => true },
  'asks for a reset': { failsAfter: 3 },
  'writes nonsense': { written: (bytes) => bytes.fill(0xff) },
  'writes zeros': { written: (bytes) => bytes.fill(0) },
};

/** The duties of a driver half, and of a workload, towards a device that breaks the rules. */
export const DEVICE_ROGUE_CHECKS: readonly ContractCheck<DeviceTypeSubject>[] = [
  {
    name: 'gives only coded errors on a device that breaks the rules',
    duty: 'Workload.run: throws DeviceError; DriverHalf: nothing that a device says is used unchecked',
    advice: 'check lengths, ids and statuses of the device before use, and throw a DeviceError or note a mismatch',
    async run(subject) {
      for (const [what, misconduct] of Object.entries(USED)) await tryMisconduct(subject, what, { misconduct });
    },
  },
  {
    name: 'gives only coded errors on a configuration that cannot be',
    duty: 'DeviceDriver.queues and open: features and configuration, of which nothing is used unchecked: ERR_DEVICE_CONFIG',
    advice: 'read with ConfigFields, compare each number with its range, and throw DeviceError ERR_DEVICE_CONFIG',
    async run(subject) {
      const size = configSize(subject.plugin.config);
      if (size === 0) skipCheck('it has no configuration space');
      for (const [what, misconduct] of configurations(size)) await tryMisconduct(subject, what, { misconduct });
    },
  },
  {
    name: 'hears of a changed configuration, whatever it is',
    duty: 'DriverHalf.configChanged: what changed in a few words, or undefined; DeviceError for values that cannot be',
    advice: 'read again with ConfigFields in configChanged, and return a short text only where something changed',
    async run(subject) {
      const size = configSize(subject.plugin.config);
      for (const [what, { config, isUnstable }] of configurations(size)) {
        let isChanged = false;
        const misconduct: Misconduct = {
          changesConfigAfter: 3,
          ...(isUnstable === true ? {} : { config: (offset, target) => isChanged && config?.(offset, target) }),
          // The configuration is sound until then.
          written: () => (isChanged = true),
        };
        const outcomes = await tryMisconduct(subject, `has a configuration that changes: it ${what}`, { misconduct });
        for (const said of outcomes.flatMap(({ loop }) => loop?.changes ?? []))
          assert.ok(
            said === undefined || (typeof said === 'string' && said !== ''),
            `configChanged returned ${String(said)}`,
          );
      }
    },
  },
  {
    name: 'does not verify data in which one byte is wrong',
    duty: 'WorkDone.mismatches: what came back wrong',
    advice: 'compare all that comes back with what was sent, and note a mismatch for the first difference',
    async run(subject) {
      for (const workload of await checkedWorkloads(subject)) {
        let total = 0;
        const count = (bytes: Uint8Array): void => void (total += bytes.length);
        await runOnce(subject, workload, { misconduct: { written: count } });
        if (total === 0) continue;
        let [corrupted, noticed] = [0, 0];
        for (let seed = 1; seed <= CORRUPTIONS; seed++) {
          const random = new Random(seed);
          // In the front half: a device with timers may write less the next time.
          let left = random.below(Math.ceil(total / 2));
          const written = (bytes: Uint8Array): void => {
            if (left >= 0 && left < bytes.length) {
              bytes[left]! ^= 1 << random.below(8);
              corrupted++;
            }
            left -= bytes.length;
          };
          const { verified } = await runOnce(subject, workload, { misconduct: { written }, stalledMs: STALLED_MS });
          if (!verified) noticed++;
        }
        const what = `${workload.name} noticed ${noticed} of ${corrupted} bytes that were changed`;
        assert.ok(noticed * 2 >= corrupted, `${what}: at least half have to be data that it compares`);
      }
    },
  },
];

/** Configurations that no device should have. */
function* configurations(size: number): Generator<readonly [what: string, misconduct: Misconduct]> {
  for (const value of [0, 0xff, 0x01, 0x80])
    yield [`has a configuration of bytes ${value}`, { config: (_offset, target) => void target.fill(value) }];
  for (let seed = 1; seed <= 8; seed++) {
    const random = new Random(seed);
    const bytes = Uint8Array.from({ length: size }, () => random.below(256));
    yield [
      `has the random configuration of seed ${seed}`,
      { config: (offset, target) => target.set(bytes.subarray(offset, offset + target.length)) },
    ];
  }
  for (const bytes of [0, 1, Math.floor(size / 2), size - 1]) {
    yield [
      `has a configuration of ${bytes} bytes`,
      {
        config(offset, target) {
          if (offset + target.length > bytes)
            throw new DeviceError('ERR_DEVICE_CONFIG', `the device has ${bytes} bytes of configuration`);
        },
      },
    ];
  }
  yield ['has a configuration that never stands still', { isUnstable: true }];
}

async function tryMisconduct(
  subject: DeviceTypeSubject,
  what: string,
  trial: TrialOptions,
): Promise<Awaited<ReturnType<typeof runOnce>>[]> {
  const outcomes: Awaited<ReturnType<typeof runOnce>>[] = [];
  for (const workload of await checkedWorkloads(subject)) {
    for (const options of [
      { ...trial, requests: 12, stalledMs: STALLED_MS },
      { ...trial, requests: 12, stalledMs: STALLED_MS, buffers: 'streaming', mapping: 'translated' },
    ] as const) {
      const outcome = await runOnce(subject, workload, options);
      outcomes.push(outcome);
      const { error } = outcome;
      const isCoded = error === undefined || isCodedError(error);
      if (!isCoded)
        throw new Error(`on a device that ${what}, ${workload.name} throws ${messageOf(error)}`, { cause: error });
      assertNothingLeft(workload, { ...options, misconduct: {} }, outcome);
    }
  }
  return outcomes;
}
