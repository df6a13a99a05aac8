import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadProfile, type Profile, type ProfileObject } from '@virtio-platform/profile';
import { runProfile, startProfile, type ProfileRun, type RunEvent } from '@virtio-platform/runner';
import { beforeEach, describe, expect, it } from 'vitest';
import { journal } from './fixtures/slow-machine.ts';

const PLUGINS = { resolveFrom: [fileURLToPath(new URL('../../cli/package.json', import.meta.url))] };
const SLOW_MACHINE = fileURLToPath(new URL('fixtures/slow-machine.ts', import.meta.url));

/** A profile over the embedded machine, with the sections that a test replaces. */
async function profileOf(more: ProfileObject = {}): Promise<Profile> {
  const source: ProfileObject = {
    profile: 'run',
    platform: { use: '@virtio-platform/platform-legacy' },
    machine: { use: '@virtio-platform/machine-simulated', memory: '4MiB' },
    device: { type: 'block', capacity: '1MiB' },
    workload: { kind: 'write-read-verify', requests: 200, depth: 8, blockSize: '4KiB' },
    ...more,
  };
  return await loadProfile(source, PLUGINS);
}

const ENDLESS = { kind: 'write-read-verify', requests: 0x7fff_ffff, depth: 8, blockSize: 4096 } as const;

/** A profile whose machine boots for so many milliseconds, and whose device then completes nothing. */
async function slow(boot: number, looks = false): Promise<Profile> {
  return await profileOf({ machine: { use: SLOW_MACHINE, memory: '4MiB', boot, looks }, driver: { timeout: '60s' } });
}

async function eventsOf(events: AsyncIterable<RunEvent>): Promise<RunEvent[]> {
  const seen: RunEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

function threads(): number {
  return readdirSync('/proc/self/task').length;
}

const typesOf = (events: readonly RunEvent[]): string[] => events.map(({ type }) => type);

beforeEach(() => {
  journal.length = 0;
});

describe('the events of a run', () => {
  it('have in their report what is missing of the log of the program of the machine', async () => {
    const machine = { use: SLOW_MACHINE, memory: '4MiB', missing: 300 };
    const { logCut, outcome } = await runProfile(await profileOf({ machine, driver: { timeout: '100ms' } }));
    expect(outcome).toBe('failed');
    expect(logCut).toEqual({ program: 'slow', before: expect.any(Number), bytes: 300 });
    expect(logCut!.before).toBeGreaterThan(90_000);
    expect((await runProfile(await profileOf())).logCut).toBeNull();
  });

  it('tell what happens in order, and end with the report', async () => {
    const run = startProfile(await profileOf());
    const told = await eventsOf(run.events);
    const last = told.findLast(({ type }) => type === 'progress');
    const events = told.filter((event) => event.type !== 'progress' || event === last);
    const report = await run.report;
    const { features, path, refusal } = report;
    expect(events).toEqual([
      {
        type: 'booted',
        platform: 'legacy',
        machine: 'simulated',
        device: 'block',
        interface: 'modern',
        memory: 4 << 20,
      },
      { type: 'negotiated', features, path, refusal, account: expect.any(Object) },
      { type: 'progress', done: 200, total: 200 },
      { type: 'addresses', isRestricted: false, ranges: [] },
      { type: 'ended', report, error: null },
    ]);
    expect(report).toMatchObject({ outcome: 'completed', workload: { verified: true } });
  });

  it('come to listeners by name, which Node’s own functions wait for', async () => {
    const run = startProfile(await profileOf());
    const heard: string[] = [];
    run.on('booted', ({ machine }) => heard.push(machine));
    run.on('negotiated', ({ path }) => heard.push(String(path)));
    run.on('progress', ({ done, total }) => heard.push(`${done}/${total}`));
    const [ended] = await once(run, 'ended');
    expect(heard).toEqual(['simulated', 'physical', '200/200']);
    expect(ended).toEqual({ type: 'ended', report: await run.report, error: null });
  });

  it('are all there for a late reader and for two, of progress the last', async () => {
    const run = startProfile(await profileOf({ workload: { ...ENDLESS, requests: 2000 } }));
    const early = eventsOf(run.events);
    await run.report;
    const late = await eventsOf(run.events);
    expect(typesOf(late)).toEqual(['booted', 'negotiated', 'progress', 'addresses', 'ended']);
    expect(late[2]).toEqual({ type: 'progress', done: 2000, total: 2000 });
    expect(typesOf(await early).filter((type) => type !== 'progress')).toEqual([
      'booted',
      'negotiated',
      'addresses',
      'ended',
    ]);
    expect(await eventsOf(run.events)).toEqual(late);
  });

  it('tell of a refusal', async () => {
    const driver = { privilege: 'process-noiommu' } as const;
    const run = startProfile(await profileOf({ driver }));
    const events = await eventsOf(run.events);
    expect(typesOf(events)).toEqual(['booted', 'negotiated', 'addresses', 'ended']);
    expect(events[1]).toMatchObject({ refusal: { code: expect.any(String) }, path: null });
    expect(await run.report).toMatchObject({ outcome: 'refused' });
  });

  it('tell of each fault and each finding once, while the run goes on', async () => {
    const run = startProfile(
      await profileOf({
        machine: { use: '@virtio-platform/machine-simulated', memory: '4MiB', onFault: 'zeros' },
        driver: { buffers: 'streaming', sanitize: true },
        workload: { ...ENDLESS, requests: 3000 },
        failures: { wrongAddress: { nth: [10, 250] } },
      }),
    );
    const events = await eventsOf(run.events);
    const { faults, findings } = await run.report;
    expect(faults.length).toBeGreaterThan(0);
    expect(findings.length).toBeGreaterThan(0);
    expect(events.flatMap((event) => (event.type === 'fault' ? [event.fault] : []))).toEqual(faults);
    expect(events.flatMap((event) => (event.type === 'finding' ? [event.finding] : []))).toEqual(findings);
    expect(typesOf(events).indexOf('fault')).toBeLessThan(typesOf(events).lastIndexOf('progress'));
  });

  it('may be left before the end, and the run goes on', async () => {
    const run = startProfile(await profileOf());
    for await (const event of run.events) if (event.type === 'booted') break;
    expect((await run.report).outcome).toBe('completed');
  });
});

/** A run that is aborted while its machine boots. */
async function abortedBoot(boot: number, looks = false): Promise<ProfileRun> {
  const controller = new AbortController();
  const run = startProfile(await slow(boot, looks), { signal: controller.signal });
  await expect.poll(() => journal).toEqual(['boots']);
  controller.abort();
  return run;
}

describe('a run that is aborted', () => {
  it('starts nothing where it was aborted before', async () => {
    const reason = new Error('not today');
    const aborted = runProfile(await slow(0), { signal: AbortSignal.abort(reason) });
    await expect(aborted).rejects.toBe(reason);
    expect(journal).toEqual([]);
  });

  it('ends a boot that looks at the signal at once', async () => {
    const run = await abortedBoot(60_000, true);
    const abortedAt = performance.now();
    await expect(run.report).rejects.toMatchObject({ name: 'AbortError' });
    expect(performance.now() - abortedAt).toBeLessThan(2000);
    expect(journal).toEqual(['boots']);
  });

  it('gives back a machine whose boot does not', async () => {
    const run = await abortedBoot(300);
    await expect(run.report).rejects.toMatchObject({ name: 'AbortError' });
    expect(journal).toEqual(['boots', 'booted', 'disposed']);
  });

  it('resets a device that stalls, and gives everything back', async () => {
    const controller = new AbortController();
    const run = startProfile(await slow(0), { signal: controller.signal });
    await once(run, 'progress');
    const abortedAt = performance.now();
    controller.abort();
    await expect(run.report).rejects.toMatchObject({ name: 'AbortError' });
    expect(performance.now() - abortedAt).toBeLessThan(2000);
    expect(journal).toEqual(['boots', 'booted', 'disposed']);
  });

  it('ends at any time with nothing left: here, after each event and some time', async () => {
    const profile = await profileOf({ workload: ENDLESS });
    for (const when of ['booted', 'negotiated', 'progress'] as const) {
      const run = startProfile(profile);
      run.on(when, () => run.abort(when));
      await expect(run.report).rejects.toBe(when);
    }
    for (const ms of [0, 1, 5, 20, 80]) {
      const run = startProfile(profile);
      await setTimeout(ms);
      run.abort(ms);
      await expect(run.report).rejects.toBe(ms);
      expect((await eventsOfAborted(run.events)).at(-1)).toEqual({ type: 'ended', report: null, error: ms });
    }
  });

  it('ends the thread of its device', async () => {
    const machine = { use: '@virtio-platform/machine-simulated', memory: '4MiB', device: 'worker' } as const;
    const profile = await profileOf({ machine, workload: ENDLESS });
    const before = threads();
    const run = startProfile(profile);
    await once(run, 'progress');
    expect(threads()).toBeGreaterThan(before);
    run.abort();
    await expect(run.report).rejects.toMatchObject({ name: 'AbortError' });
    await expect.poll(threads).toBeLessThanOrEqual(before);
  });

  it('listens to no signal any more once it has ended', async () => {
    const controller = new AbortController();
    const run = startProfile(await profileOf(), { signal: controller.signal });
    const report = await run.report;
    controller.abort();
    run.abort();
    expect(await run.report).toBe(report);
  });

  it('takes an AbortSignal only', async () => {
    const profile = await profileOf();
    expect(() => startProfile(profile, { signal: {} as AbortSignal })).toThrow(TypeError);
  });

  it('refuses what loadProfile did not give: a path, an object, nothing', async () => {
    for (const given of ['profile.yaml', { profile: 'mine', device: { type: 'block' } }, undefined])
      await expect(runProfile(given as unknown as Profile)).rejects.toThrow(/has to be one that loadProfile gave, not/);
  });
});

/** The events of a run that has no report; reading them throws its error at the end. */
async function eventsOfAborted(events: AsyncIterable<RunEvent>): Promise<RunEvent[]> {
  const seen: RunEvent[] = [];
  const reading = (async (): Promise<void> => {
    for await (const event of events) seen.push(event);
  })();
  await expect(reading).rejects.toBeDefined();
  return seen;
}

describe('a listener that fails', () => {
  it.each(['booted', 'negotiated', 'progress', 'ended'] as const)('ends the run with its error: %s', async (type) => {
    const error = new Error('a mistake of the listener');
    const run = startProfile(await profileOf());
    run.on(type, () => {
      throw error;
    });
    await expect(run.report).rejects.toBe(error);
  });

  it('ends the run with what its promise rejects with', async () => {
    const error = new Error('a later mistake');
    const run = startProfile(await slow(0));
    // oxlint-disable-next-line typescript/no-misused-promises -- that is what is tested
    run.on('negotiated', async () => {
      await setTimeout(10);
      throw error;
    });
    await expect(run.report).rejects.toBe(error);
    expect(journal).toEqual(['boots', 'booted', 'disposed']);
  });

  it('may be the one of the progress', async () => {
    const error = new Error('a mistake');
    const onProgress = (): void => {
      throw error;
    };
    await expect(runProfile(await profileOf(), { onProgress })).rejects.toBe(error);
  });
});

describe('a run that is disposed', () => {
  it('is aborted, and nothing is left when that is done', async () => {
    const seen: string[] = [];
    {
      await using run = startProfile(await slow(0));
      for await (const { type } of run.events) {
        seen.push(type);
        if (type === 'negotiated') break;
      }
    }
    expect(seen).toEqual(['booted', 'negotiated']);
    expect(journal).toEqual(['boots', 'booted', 'disposed']);
  });

  it('keeps the report of one that has ended', async () => {
    const run = startProfile(await profileOf());
    const report = await run.report;
    await run[Symbol.asyncDispose]();
    expect(await run.report).toBe(report);
  });
});

describe('a run without a report', () => {
  it('has the error of the plugin for those that wait, read or listen', async () => {
    const profile = await profileOf();
    const wrong = { ...profile, machine: { ...profile.machine, options: { device: 'nowhere' } } };
    const run = startProfile(wrong);
    const ended = once(run, 'ended');
    await expect(run.report).rejects.toMatchObject({ code: 'ERR_PLUGIN_OPTIONS' });
    expect((await eventsOfAborted(run.events)).map(({ type }) => type)).toEqual(['ended']);
    expect(await ended).toMatchObject([{ report: null, error: { code: 'ERR_PLUGIN_OPTIONS' } }]);
  });
});
