import assert from 'node:assert/strict';
import { BUFFER_MAPPINGS, isCodedError, messageOf } from '@virtio-platform/core';
import { FeatureSet } from '@virtio-platform/core/features';
import { skipCheck, type ContractCheck } from '../../contract-check.ts';
import { checkedWorkloads, type DeviceTypeSubject, type SubjectWorkload } from './device-type-subject.ts';
import { DeviceTrial, type TrialOptions, type TrialOutcome } from './device-trial.ts';
import { TRIAL_MAPPINGS } from './trial-mapping.ts';

/** The rings that a driver half meets. */
const RINGS: readonly TrialOptions[] = [
  { layout: 'split' },
  { layout: 'packed' },
  { layout: 'split', eventIdx: true, indirect: true },
  { layout: 'packed', eventIdx: true, indirect: true },
  { layout: 'split', inOrder: true },
  { layout: 'packed', inOrder: true, eventIdx: true },
];

/** What stands in a line with the place of a buffer. */
const FEW_WORDS = /^[^\p{C}\p{Z}](?:[^\p{C}\p{Z}]| (?! )){1,60}$/u;

/** The duties of both halves together, with each workload. */
export const DEVICE_WORKLOAD_CHECKS: readonly ContractCheck<DeviceTypeSubject>[] = [
  {
    name: 'verifies each workload on each kind of ring',
    duty: 'WorkloadType.open: a workload makes all requests of the profile; DriverHalf and DeviceModel, over any ring',
    advice: 'run it in a profile with the embedded machine and this ring; publish, notify where publish says so, poll',
    run: (subject) => verifyAll(subject, RINGS),
  },
  {
    name: 'verifies each workload however its buffers are mapped',
    duty: 'DriverContext.buffers: how the driver half maps its buffers; DmaMapping',
    advice: 'use BufferSlots, or: map what each request needs, sync premapped parts, read only after takeUsed',
    run: (subject) =>
      verifyAll(
        subject,
        TRIAL_MAPPINGS.flatMap((mapping) =>
          BUFFER_MAPPINGS.flatMap((buffers) => [
            { mapping, buffers },
            { mapping, buffers, layout: 'packed' as const, indirect: true },
          ]),
        ),
      ),
  },
  {
    name: 'works one request at a time, and with more at once than a queue has entries',
    duty: 'DriverContext.depth: requests in flight at once, at least 1; queues share them',
    advice: 'have no more buffers than min(depth, queue.size), and retry where add says that the queue is full',
    run: (subject) =>
      verifyAll(subject, [{ depth: 1 }, { depth: 2 }, { depth: 200 }, { depth: 200, layout: 'packed' }]),
  },
  {
    name: 'works without each of its features, and reads only fields that it accepted',
    duty: 'ConfigField.feature: the feature that the field exists with; DeviceDriver.queues, DeviceModel.start(accepted)',
    advice: 'read fields with ConfigFields, and let both halves follow what was accepted, not what was offered',
    run: checkFeatures,
  },
  {
    name: 'works on the legacy interface of a guest of either byte order',
    duty: 'NegotiatedDevice.byteOrder: of configuration and headers, the guest’s own on the legacy interface',
    advice: 'pass byteOrder to every DataView access of configuration and headers, in both halves',
    run: (subject) =>
      verifyAll(subject, [{ legacy: 'little' }, { legacy: 'big' }, { legacy: 'big', buffers: 'streaming' }]),
  },
  {
    name: 'writes only into writable parts, and counts what it wrote in front',
    duty: 'DeviceModel.process: how many bytes were written to its writable part, in front, without a gap',
    advice: 'write with writeChain, and return the bytes only where it returned true',
    run: (subject) =>
      behavesWell(subject, [{}, { layout: 'packed', depth: 16 }, { mapping: 'translated', buffers: 'streaming' }]),
  },
  {
    name: 'takes any framing of a buffer',
    duty: 'DeviceModel.process: framing does not matter (specification 1.4 section 2.7.4)',
    advice: 'read and write with readChain and writeChain, by the byte of the part and not by the segment',
    run: (subject) => verifyAll(subject, [{ framing: 'whole' }, { framing: 'bytes' }]),
  },
  {
    name: 'is as new after a reset',
    duty: 'DeviceModel.start: whatever was left of a run before a reset is forgotten',
    advice: 'clear queues of data, kept buffers and counters in start',
    async run(subject) {
      for (const workload of await checkedWorkloads(subject)) {
        const trial = await DeviceTrial.open(subject);
        try {
          for (const budget of [1, 2, 3, 5, 8, 13, 21]) {
            await trial.run(workload, { budget, depth: 8 });
            // Other patterns, so that what is left of the run before is no right answer.
            const outcome = await trial.run(workload, { budget: Infinity, seed: budget });
            assertVerified(workload, { budget }, outcome, `after a reset behind ${budget} buffers`);
          }
        } finally {
          trial.dispose();
        }
        assert.deepEqual(trial.device.wrongs, [], 'what the device half did');
      }
    },
  },
  {
    name: 'forgets the buffers of a queue that is reset',
    duty: 'DeviceModel.forget: the buffers of it that the device kept are gone, with what they were for',
    advice: 'drop the buffers of the queue that you kept in forget, and push none of them any more',
    async run(subject) {
      for (const workload of await checkedWorkloads(subject)) {
        for (const resetsEach of [1, 2, 3, 5]) {
          for (const resetsQueue of [undefined, 0, 1, 2]) {
            const options: TrialOptions = {
              resetsEach,
              depth: 8,
              ...(resetsQueue === undefined ? {} : { resetsQueue }),
            };
            const trial = await DeviceTrial.open(subject, options);
            try {
              await trial.run(workload);
              assert.deepEqual(trial.device.wrongs, [], `what the device half did in ${described(workload, options)}`);
            } finally {
              trial.dispose();
            }
          }
        }
      }
    },
  },
  {
    name: 'makes requests again that a queue reset returned',
    duty: 'WorkloadType.recovers: its workload makes a request again that a queue reset returned; it then has `recover`',
    advice: 'take the slots of the ids back in recover, count them in `repeated`, and submit them again',
    async run(subject) {
      const workloads = (await checkedWorkloads(subject)).filter(({ type }) => type.recovers);
      if (workloads.length === 0) skipCheck('no workload recovers');
      for (const workload of workloads) {
        for (const resetsEach of [1, 3, 6]) {
          const outcome = await runOnce(subject, workload, { resetsEach, depth: 8 });
          assertVerified(workload, { resetsEach }, outcome);
          assert.ok(outcome.done!.repeated > 0, `${workload.name} counts requests that it made again in \`repeated\``);
        }
      }
    },
  },
  {
    name: 'tells its host by an event of what changes by itself',
    duty: 'DeviceEvents: queueChanged where `wants` changes, configChanged where the configuration does',
    advice: 'call events.queueChanged or events.configChanged after a timer, a socket or a method changed something',
    run: (subject) => behavesWell(subject, [{ depth: 8 }], 4),
  },
  {
    name: 'gives all buffers back after a reset, however the run ended',
    duty: 'DriverHalf.dispose: gives back all buffers; DeviceDriver.open: throws, and then nothing stays allocated',
    advice: 'free in dispose what the constructor allocated, and in a catch of the constructor what it had so far',
    run: checkLeaks,
  },
  {
    name: 'survives a map that fails',
    duty: 'DmaMapping.map: failing to map is normal; WorkLoop.failedToAdd where nothing in flight can change that',
    advice: 'keep the request where add returns a negative reason, and try again after the next completion',
    async run(subject) {
      const schedules = [{ nth: [1] }, { nth: [2] }, { nth: [3, 4] }, { every: 7 }, { rate: 0.2, seed: 3 }];
      for (const workload of await checkedWorkloads(subject)) {
        for (const map of schedules) {
          const options: TrialOptions = { buffers: 'streaming', failures: { map } };
          const outcome = await runOnce(subject, workload, options);
          assertVerified(workload, options, outcome);
          assertNothingLeft(workload, options, outcome);
        }
      }
    },
  },
  {
    name: 'says in a few words what each buffer with the device is for',
    duty: 'DriverHalf.describeBuffer: what the buffer with this id asks the device for while the device has it',
    advice: 'keep by slot what was asked for, and return `read of sector 312`: one line, which stands in a failure',
    async run(subject) {
      let asked = 0;
      for (const workload of await checkedWorkloads(subject)) {
        const options: TrialOptions = { asksBuffers: true, depth: 8 };
        const described = (await runOnce(subject, workload, options)).loop?.described ?? [];
        if (described.length > 0 && described.every((text) => text === undefined))
          skipCheck('the driver half says nothing of its buffers');
        asked += described.length;
        const wrong = described.find((text) => typeof text !== 'string' || !FEW_WORDS.test(text));
        assert.ok(!described.includes(wrong), `${workload.name} has a buffer that is for "${String(wrong)}"`);
      }
      assert.ok(asked > 0, 'a device had a buffer in some turn');
    },
  },
  {
    name: 'tells the loop of each round, with the numbers of its own account',
    duty: 'WorkLoop.turn and disrupt: in each round; WorkDone: requests, bytes, repeated',
    advice: 'call loop.disrupt and loop.turn once in each round, with the number that done.requests has then',
    async run(subject) {
      for (const workload of await checkedWorkloads(subject)) {
        const { done, loop, error } = await runOnce(subject, workload, {});
        assert.ok(loop !== undefined && done !== undefined, `${workload.name} opens: ${messageOf(error)}`);
        assert.deepEqual(loop.wrongs, [], `what ${workload.name} says to the loop`);
        assert.ok(loop.turns > 0, `${workload.name} calls loop.turn`);
        assert.ok(loop.disruptions > 0, `${workload.name} calls loop.disrupt`);
        assert.equal(loop.undisrupted, 0, `rounds of ${workload.name} with completions and no call of loop.disrupt`);
        assert.equal(
          done.requests,
          subject.requests,
          `${workload.name} makes the requests of the profile, and no more`,
        );
        assert.ok(done.bytes > 0, `${workload.name} counts bytes`);
      }
    },
  },
];

/** Runs a workload on a device of its own. */
export async function runOnce(
  subject: DeviceTypeSubject,
  workload: SubjectWorkload,
  options: TrialOptions,
): Promise<TrialOutcome> {
  const trial = await DeviceTrial.open(subject, options);
  try {
    return await trial.run(workload);
  } finally {
    trial.dispose();
  }
}

/** Says what a run with these options did. */
export function described({ name }: SubjectWorkload, options: TrialOptions): string {
  return `${name} with ${JSON.stringify(options, (_key, value: unknown) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value))}`;
}

/** Throws unless a run gave everything back. */
export function assertNothingLeft(workload: SubjectWorkload, options: TrialOptions, outcome: TrialOutcome): void {
  const { live, allocated } = outcome;
  const left = `mappings live, and bytes allocated, after ${described(workload, options)}`;
  assert.deepEqual({ live, allocated }, { live: 0, allocated: 0 }, left);
}

function assertVerified(workload: SubjectWorkload, options: TrialOptions, outcome: TrialOutcome, when = ''): void {
  const { error, done, verified } = outcome;
  if (verified) return;
  const what = `${described(workload, options)} ${when}`;
  if (error !== undefined) throw new Error(`${what} throws ${messageOf(error)}`, { cause: error });
  const first = done?.mismatches.first[0];
  assert.fail(`${what} is not verified: ${done?.requests ?? 0} requests, ${first?.what ?? ''} ${first?.detail ?? ''}`);
}

async function verifyAll(subject: DeviceTypeSubject, trials: readonly TrialOptions[]): Promise<void> {
  for (const workload of await checkedWorkloads(subject))
    for (const options of trials) assertVerified(workload, options, await runOnce(subject, workload, options));
}

/** Runs workloads, and looks at what the device half did. */
async function behavesWell(subject: DeviceTypeSubject, trials: readonly TrialOptions[], times = 1): Promise<void> {
  for (const workload of await checkedWorkloads(subject)) {
    for (const options of trials) {
      const trial = await DeviceTrial.open(subject, options);
      try {
        await trial.run(workload, { requests: subject.requests * times });
        assert.deepEqual(
          trial.device.wrongs.slice(0, 3),
          [],
          `what the device half did in ${described(workload, options)}`,
        );
      } finally {
        trial.dispose();
      }
    }
  }
}

async function checkFeatures(subject: DeviceTypeSubject): Promise<void> {
  const { plugin } = subject;
  const all = plugin.driver.features;
  const without = [FeatureSet.EMPTY, all, ...[...all].map((bit) => FeatureSet.of(bit))];
  for (const workload of await checkedWorkloads(subject)) {
    for (const lacks of without) {
      const trial = await DeviceTrial.open(subject, { lacks });
      try {
        const outcome = await trial.run(workload);
        const { error, accepted } = outcome;
        const names = lacks.names(plugin.features).join(', ');
        if (!isCodedError(error) || error.code !== 'ERR_FEATURE_REQUIRED')
          assertVerified(workload, {}, outcome, `without ${names === '' ? 'nothing' : names}`);
        for (const { offset, length } of trial.device.configReads) {
          for (let at = offset; at < offset + length; at++) {
            const isRead = Object.values(plugin.config).some((field) => {
              if (at < field.offset || at >= field.offset + field.width) return false;
              const bits = field.feature === undefined ? [] : [field.feature].flat();
              return bits.length === 0 || bits.some((bit) => accepted.has(bit));
            });
            assert.ok(isRead, `byte ${at} of the configuration is read, and no field there exists without ${names}`);
          }
        }
      } finally {
        trial.dispose();
      }
    }
  }
}

async function checkLeaks(subject: DeviceTypeSubject): Promise<void> {
  for (const workload of await checkedWorkloads(subject)) {
    for (const buffers of BUFFER_MAPPINGS) {
      const trials: TrialOptions[] = [
        {},
        { mapping: 'translated', layout: 'packed' },
        ...[1, 3, 8, 21].map((budget) => ({ budget, depth: 8 })),
        ...[1, 2, 3, 4].map((nth) => ({ failures: { region: { nth: [nth] } } })),
      ];
      for (const changes of trials) {
        const options = { ...changes, buffers };
        const outcome = await runOnce(subject, workload, options);
        assertNothingLeft(workload, options, outcome);
        const { error } = outcome;
        assert.ok(
          error === undefined || isCodedError(error),
          `${described(workload, options)} throws no coded error, but ${messageOf(error)}`,
        );
      }
    }
  }
}
