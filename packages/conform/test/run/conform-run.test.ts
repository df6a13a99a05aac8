import { CodedError, type BootedMachine, type ConformCase } from '@virtio-platform/core';
import { expect, it } from 'vitest';
import { ConformRun, planCases } from '../../src/index.ts';
import { BrokenDevice } from '../broken/broken-device.ts';
import { embeddedBlock } from '../broken/try-bug.ts';

const profile = await embeddedBlock();

function conformCase(id: string, run: ConformCase['run'], rest: Partial<ConformCase> = {}): ConformCase {
  return { id, clause: '2.6', level: 'MUST', title: 'serves', run, ...rest };
}

/** Runs cases on the embedded device; `wrap` may keep it from booting again. */
async function verdicts(cases: readonly ConformCase[], device: BrokenDevice, mayBoot = 100): Promise<string[]> {
  let boots = 0;
  const run = new ConformRun({
    profile: device.profileOf(profile),
    composition: device.watchers,
    wrap: (machine): BootedMachine => {
      if (++boots > mayBoot) throw new CodedError('ERR_MACHINE_START', 'it does not boot');
      return device.wrap(machine);
    },
    cases: planCases(cases),
    patienceMs: 15,
    settleMs: 1,
  });
  try {
    return (await run.run()).map(({ id, verdict, seen, severity }) => `${id} ${verdict} ${severity} ${seen}`.trim());
  } finally {
    await run.end();
  }
}

const SERVES = conformCase('a/serves', async (bench) => {
  await bench.start();
  await bench.serve(bench.layOut());
});

it('boots a device again that crashed, and goes on', async () => {
  const device = new BrokenDevice();
  const crashes = conformCase('a/crashes', () => device.crash());
  expect(await verdicts([SERVES, crashes, SERVES], device)).toEqual([
    'a/serves pass none',
    'a/crashes gone crash the back-end was ended by SIGSEGV',
    'a/serves pass none',
  ]);
});

it('says of no case that it was tried once the device is gone for good', async () => {
  const device = new BrokenDevice();
  const crashes = conformCase('a/crashes', () => device.crash());
  expect(await verdicts([crashes, SERVES, SERVES], device, 1)).toEqual([
    'a/crashes gone crash the back-end was ended by SIGSEGV',
    'a/serves skip none not tried: the device is gone since a/crashes',
    'a/serves skip none not tried: the device is gone since a/crashes',
  ]);
});

it('calls a device that does not answer a hang, in a case and in the recovery after it', async () => {
  const device = new BrokenDevice();
  const asks = conformCase('a/asks', async (bench) => {
    await bench.start();
    device.wedge();
    await bench.serve(bench.layOut());
  });
  const hostile = conformCase('a/hostile', () => device.wedge(), { isHostile: true });
  expect(await verdicts([asks, SERVES, hostile, SERVES], device)).toEqual([
    'a/asks hang wedged the device did not return a buffer of queue 0 in 15 ms',
    'a/serves pass none',
    'a/hostile hang wedged after a reset it does not serve a request: the device did not return a buffer of queue 0 in 15 ms',
    'a/serves pass none',
  ]);
});

it('finds a write where no buffer is, whatever the case looks for', async () => {
  const device = new BrokenDevice();
  const behind = conformCase('a/behind', (bench) => {
    const { address, length } = bench.allocate('a buffer', 32);
    device.memory!.u8[address + length] = 0;
  });
  const [verdict] = await verdicts([behind], device);
  expect(verdict).toMatch(/^a\/behind fail host-memory the byte 0 behind a buffer became 0x00, was 0xa/);
});

it('ends at the signal', async () => {
  const controller = new AbortController();
  const stops = conformCase('a/stops', () => controller.abort(new Error('enough')));
  const run = new ConformRun({
    profile,
    cases: planCases([stops, SERVES]),
    patienceMs: 15,
    settleMs: 1,
    signal: controller.signal,
  });
  await expect(run.run()).rejects.toThrow('enough');
  await run.end();
});
