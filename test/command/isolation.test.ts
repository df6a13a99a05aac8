import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reportsOf, ROOT, virtioPlatform } from './command.ts';

/** What the `boot` of a machine does, around the embedded machine. */
const MACHINES: Readonly<Record<string, string>> = {
  'boot-throws': "throw new RangeError('boot says no');",
  'boot-throws-null': 'throw null;',
  'boot-throws-nothing': 'throw Object.create(null);',
  'boot-never-ends': 'await new Promise(() => {});',
  'dispose-throws': `const booted = await machine.boot();
      return { ...booted, dispose: async () => { await booted.dispose(); throw new Error('dispose says no'); } };`,
  'rejects-unhandled': "Promise.reject(new Error('rejected beside the run')); return await machine.boot();",
  'throws-in-a-timer': `setTimeout(() => { throw new TypeError('thrown beside the run'); }, 1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      return await machine.boot();`,
  'is-denied': `throw Object.assign(new Error("EACCES: permission denied, mkdtemp '/x'"), { code: 'EACCES', syscall: 'mkdtemp' });`,
  'has-no-memory': 'return new SharedArrayBuffer(2 ** 53 - 1);',
};

const MACHINE = (body: string): string => `
import simulated, { SimulatedMachine } from '@virtio-platform/machine-simulated';
import { MACHINE, MACHINE_REQUEST } from '@virtio-platform/core';
const boot = async (machine) => {
      ${body}
};
export default {
  ...simulated,
  name: 'outside',
  register(container, options) {
    const useFactory = (bindings) => {
      const machine = new SimulatedMachine(bindings.resolve(MACHINE_REQUEST), options);
      return { name: 'outside', boot: () => boot(machine) };
    };
    container.register(MACHINE, { useFactory });
  },
};
`;

const PLATFORM = (member: string): string => `
import pseries from '@virtio-platform/platform-pseries';
import { PLATFORM } from '@virtio-platform/core';
export default {
  ...pseries,
  register(container, options) {
    const useFactory = (bindings) => {
      const own = bindings.createChildContainer();
      pseries.register(own, options);
      const get = (platform, key) => {
        if (key === '${member}') return () => { throw new TypeError('${member} says no'); };
        const value = Reflect.get(platform, key);
        return typeof value === 'function' ? value.bind(platform) : value;
      };
      return new Proxy(own.resolve(PLATFORM), { get });
    };
    container.register(PLATFORM, { useFactory });
  },
};
`;

let folder: string;
const runs: string[] = [];

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

beforeAll(() => {
  folder = mkdtempSync(join(ROOT, 'test', '.outside-'));
  write(
    'base.yaml',
    `extends: ${join(ROOT, 'profiles/pseries-linear.yaml')}\nmatrix: []\nworkload: { requests: 10, depth: 4 }\nexpect: { path: linear }\n`,
  );
  const profile = (name: string, section: string): void => {
    runs.push(write(`${name}.yaml`, `extends: ./base.yaml\nprofile: ${name}\n${section}`));
  };
  profile('first', '');
  for (const [name, body] of Object.entries(MACHINES)) {
    write(`${name}.mjs`, MACHINE(body));
    profile(name, `machine: { use: ./${name}.mjs, memory: 64MiB }\n`);
  }
  for (const member of ['openMapping', 'dispose', 'recordedFaults']) {
    write(`${member}.mjs`, PLATFORM(member));
    profile(member, `platform: { use: ./${member}.mjs, window: { kind: ddw, pageSize: 64KiB } }\n`);
  }
  profile('last', '');
});
afterAll(() => rmSync(folder, { recursive: true }));

const FAILURES = {
  'boot-throws': ['ERR_PLUGIN_HOOK', 'boot says no'],
  'boot-throws-null': ['ERR_PLUGIN_HOOK', 'null'],
  'boot-throws-nothing': ['ERR_PLUGIN_HOOK', 'no text'],
  'boot-never-ends': ['ERR_PLUGIN_TIMEOUT', 'nothing is left that could settle it'],
  'dispose-throws': ['ERR_PLUGIN_HOOK', 'dispose says no'],
  'rejects-unhandled': ['ERR_PLUGIN_HOOK', 'rejected beside the run'],
  'throws-in-a-timer': ['ERR_PLUGIN_HOOK', 'thrown beside the run'],
  'is-denied': ['ERR_SYSCALL', 'permission denied'],
  'has-no-memory': ['ERR_MACHINE_MEMORY', 'memory'],
  openMapping: ['ERR_PLUGIN_HOOK', 'openMapping says no'],
  dispose: ['ERR_PLUGIN_HOOK', 'dispose says no'],
  recordedFaults: ['ERR_PLUGIN_HOOK', 'recordedFaults says no'],
};

describe('one run cannot take others with it', () => {
  it('T9 each run has its report and its cause, and the others run, with --json too', async () => {
    const result = await virtioPlatform(['run', ...runs, '--json']);
    const reports = reportsOf(result);
    expect(reports.map(({ profile }) => profile)).toEqual(['first', ...Object.keys(FAILURES), 'last']);
    for (const [i, name] of ['first', 'last'].entries()) {
      const report = reports[i * (reports.length - 1)]!;
      expect([report.profile, report.outcome, report.differences]).toEqual([name, 'completed', []]);
    }
    const failures = reports.slice(1, -1).map(({ profile, outcome, failure }) => [profile, outcome, failure?.code]);
    expect(failures).toEqual(Object.entries(FAILURES).map(([name, [code]]) => [name, 'failed', code]));
    for (const { profile, failure, differences } of reports.slice(1, -1)) {
      expect(failure!.message).toContain(FAILURES[profile as keyof typeof FAILURES][1]);
      expect(failure!.hint).not.toBeNull();
      expect(differences.length).toBeGreaterThan(0);
    }
    expect(result.status).toBe(2);
  });

  it('exits 1 where this computer failed, and no plugin', async () => {
    const { status, stdout } = await virtioPlatform(['run', join(folder, 'is-denied.yaml'), runs[0]!]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/permission denied.* \[ERR_SYSCALL\]/);
    expect(stdout).toContain('1 of 2 runs as expected');
  });
});
