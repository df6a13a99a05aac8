import { BLOCK_FEATURES } from '@virtio-platform/device-block';
import { CodedError, GUEST_MEMORY, MACHINE, PLATFORM } from '@virtio-platform/core';
import { FaultLog } from '@virtio-platform/core/address-space';
import { container, type InjectionToken } from 'tsyringe';
import { beforeEach, describe, expect, it } from 'vitest';
import { composeRun, type ComposedRun } from '../src/compose.ts';
import { displayPath, ProfileError } from '../src/source/profile-issue.ts';
import { loadProfile } from '../src/load-profile.ts';
import { MachineMissingError } from '../src/plugin/missing-requirements.ts';
import { journal } from './fixtures/journal.ts';
import { bootedWith } from './fixtures/tiny-machine.ts';
import { constructed, COUNTER } from './fixtures/tiny-platform.ts';
import { caught } from './support/caught.ts';
import { profileText, type ProfileLines } from './support/profile-text.ts';
import { fixture, temporaryProfile } from './support/temporary-folder.ts';
async function compose(lines: ProfileLines = {}): Promise<ComposedRun> {
  return await composeRun(await loadProfile(temporaryProfile(profileText(lines))));
}

const platform = (options: string): ProfileLines => ({ platform: `{ use: ${fixture('tiny-platform')}, ${options} }` });
const machine = (options: string): ProfileLines => ({
  machine: `{ use: ${fixture('tiny-machine')}, memory: 1MiB, ${options} }`,
});

beforeEach(() => {
  journal.length = 0;
  bootedWith.length = 0;
});

describe('composeRun', () => {
  it('puts the platform over the booted machine', async () => {
    const run = await compose(platform('mode: fancy'));
    expect(run).toMatchObject({ platformName: 'tiny', machineName: 'tiny-machine' });
    expect(run.machine.memory.size).toBe(1024 * 1024);
    expect(run.machine.faults).toBeInstanceOf(FaultLog);
    const tiny = constructed.at(-1)!;
    expect(run.platform).toMatchObject({ name: 'tiny', traits: tiny.traits, rules: [] });
    expect(tiny.counter).toBe(run.machine.facilities.get(COUNTER));
    expect(tiny.options).toEqual({ mode: 'fancy', base: 0 });
    expect(tiny.memory === run.machine.memory).toBe(true);
    await run.dispose();
  });

  it('tells the machine what the profile asks for', async () => {
    const device = '{ type: block, interface: transitional, serial: abc, image: disk.img, offers: [VERSION_1] }';
    const run = await compose({ device, driver: '{ interface: legacy }' });
    const [request] = bootedWith;
    expect(request).toMatchObject({
      memory: 1024 * 1024,
      needs: [COUNTER],
      device: { type: { name: 'block' }, interface: 'transitional', driverInterface: 'legacy' },
    });
    expect(request!.device.settings).toEqual({
      capacity: 16 * 1024 * 1024,
      readOnly: false,
      overwrite: false,
      serial: 'abc',
      queues: 1,
      blockSize: 512,
      writeback: true,
      discard: true,
      writeZeroes: true,
      secureErase: false,
      resizes: [],
      image: expect.stringContaining(request!.baseDirectory),
    });
    expect(request!.device.offers?.names(BLOCK_FEATURES)).toEqual(['VERSION_1']);
    await run.dispose();
  });

  it('leaves nothing in the root container', async () => {
    const run = await compose();
    const tokens: InjectionToken<unknown>[] = [PLATFORM, MACHINE, GUEST_MEMORY, COUNTER];
    expect(tokens.filter((token) => container.isRegistered(token))).toEqual([]);
    await run.dispose();
  });

  it('keeps runs apart', async () => {
    const [first, second] = await Promise.all([compose(), compose()]);
    expect(first.platform === second.platform).toBe(false);
    expect(first.machine.memory === second.machine.memory).toBe(false);
    await Promise.all([first.dispose(), second.dispose()]);
  });

  it('disposes the platform and then the machine, each once', async () => {
    const run = await compose();
    await Promise.all([run.dispose(), run.dispose()]);
    await run.dispose();
    expect(journal).toEqual(['machine booted', 'platform constructed', 'platform disposed', 'machine disposed']);
  });

  it('disposes the machine although the platform throws', async () => {
    const run = await compose({ ...platform('fail: dispose'), ...machine('fail: dispose') });
    await run.dispose();
    expect(journal.slice(-2)).toEqual(['platform disposed', 'machine disposed']);
  });

  it.each([
    ['register', 'platform', platform('fail: register'), ['machine booted', 'machine disposed']],
    ['constructor', 'platform', platform('fail: constructor'), ['machine booted', 'machine disposed']],
    ['simulate', 'platform', platform('fail: simulate'), []],
    ['register', 'machine', machine('fail: register'), []],
    ['boot', 'machine', machine('fail: boot'), []],
    ['missing', 'machine', machine('fail: throwing-missing'), []],
  ] as const)('names %s of a %s that throws, and leaves nothing running', async (hook, kind, lines, done) => {
    const profile = await loadProfile(temporaryProfile(profileText(lines)));
    const error = await caught(composeRun(profile), CodedError);
    expect(error.code).toBe('ERR_PLUGIN_HOOK');
    expect(error.message).toContain(`${displayPath(fixture(`tiny-${kind}`))}: its \`${hook}\` threw: `);
    const line = kind === 'platform' ? 2 : 3;
    expect(error.message).toContain(`(${displayPath(profile.file)}:${line}:`);
    expect(error.cause).toBeInstanceOf(Error);
    expect(journal).toEqual(done);
  });

  it('passes on what a hook throws with a code of its own', async () => {
    expect(await caught(compose(machine('fail: coded-boot')), CodedError)).toMatchObject({ code: 'ERR_DEVICE_LOST' });
  });

  it.each([
    ['PLATFORM', platform('fail: binding'), ['machine booted', 'machine disposed']],
    ['MACHINE', machine('fail: binding'), []],
  ] as const)('reports a plugin that does not bind %s', async (token, lines, done) => {
    const error = await caught(compose(lines), CodedError);
    expect(error).toMatchObject({
      code: 'ERR_PLUGIN_MISSING_BINDING',
      message: expect.stringContaining(`did not bind ${token}`),
    });
    expect(journal).toEqual(done);
  });

  it('reports a facility that the machine does not provide', async () => {
    const error = await caught(compose({ machine: `{ use: ${fixture('bare-machine')}, memory: 1MiB }` }), CodedError);
    expect(error.code).toBe('ERR_PLUGIN_FACILITY');
    expect(error.message).toContain('platform tiny asks for test:Counter, which machine bare does not provide');
    expect(error.message).toMatch(/profile\.yaml:2:18\)$/);
    expect(journal).toEqual([]);
  });

  it('reports a platform without simulation on a simulated machine', async () => {
    const error = await caught(compose({ platform: `{ use: ${fixture('real-only-platform')} }` }), CodedError);
    expect(error).toMatchObject({
      code: 'ERR_PLUGIN_FACILITY',
      message: expect.stringContaining('only on real machines'),
    });
  });

  it('reports a facility that was promised and not brought, and ends the machine', async () => {
    const error = await caught(compose(machine('fail: facility')), CodedError);
    expect(error).toMatchObject({ code: 'ERR_PLUGIN_FACILITY', message: expect.stringContaining('did not bring') });
    expect(journal).toEqual(['machine booted', 'machine disposed']);
  });

  it('says what is missing on this computer and how to get it', async () => {
    const error = await caught(compose(machine('fail: missing')), MachineMissingError);
    expect(error).toMatchObject({ code: 'ERR_MACHINE_MISSING', hint: 'apt-get install tiny' });
    expect(error.message).toContain('missing here: the program tiny');
    expect(error.missing).toEqual([{ what: 'the program tiny', fix: 'apt-get install tiny' }]);
  });

  it('reports what is wrong with both plugins in one go', async () => {
    const error = await caught(compose({ ...platform('mode: 1'), ...machine('color: 2') }), ProfileError);
    expect(error.issues.map(({ code, path }) => [code, path])).toEqual([
      ['ERR_PLUGIN_OPTIONS', 'platform.mode'],
      ['ERR_PLUGIN_OPTIONS', 'machine.color'],
    ]);
  });
});
