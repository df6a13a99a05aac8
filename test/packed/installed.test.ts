import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { runProgram, succeed } from './program.ts';

const project = inject('project');

/** Ten lines of a program that uses the packages as a library. Nothing imports a polyfill. */
const LIBRARY_USER = `
import { CodedError, definePlatformPlugin, GUEST_MEMORY, PLATFORM } from '@virtio-platform/core';
import { DirectDmaMapping, DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { loadProfiles } from '@virtio-platform/profile';
import { isAsExpected, runProfile, type RunReport } from '@virtio-platform/runner';

const memory = new GuestMemory(new SharedArrayBuffer(1 << 20));
const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 4 });
const words: Uint32Array = new Uint32Array(2);
const id: number = mapping.map(memory.allocate(64), 64, DmaDirection.ToDevice, words, 0);
const [profile] = await loadProfiles('node_modules/@virtio-platform/cli/profiles/pseries-plain.yaml');
const report: RunReport = await runProfile(profile!);
console.log(id >= 0, report.path, isAsExpected(report), [CodedError, definePlatformPlugin, GUEST_MEMORY, PLATFORM].length);
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(project, 'library-'));
  writeFileSync(join(folder, 'user.mts'), LIBRARY_USER);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('a directory in which only the tarballs are installed', () => {
  it('runs the shipped profiles without arguments', async () => {
    const runs = JSON.parse(await succeed('npx', ['virtio-platform', 'run', '--json'], project)) as {
      outcome: string;
    }[];
    expect(runs.length).toBeGreaterThan(20);
    expect(new Set(runs.map(({ outcome }) => outcome))).toEqual(new Set(['completed']));
  });

  it('lists profiles and plugins', async () => {
    const lists = JSON.parse(await succeed('npx', ['virtio-platform', 'list', '--json'], project)) as {
      profiles: { file: string }[];
      plugins: { name: string; error: unknown }[];
    };
    expect(lists.profiles.length).toBeGreaterThan(50);
    expect(lists.profiles[0]!.file).toContain(join('node_modules', '@virtio-platform', 'cli', 'profiles'));
    expect(lists.plugins.map(({ name }) => name)).toEqual(expect.arrayContaining(['pseries', 'simulated', 'vfio']));
    expect(lists.plugins.filter(({ error }) => error !== null)).toEqual([]);
  });

  it('has its manual page, where npm finds it', () => {
    const page = readFileSync(join(project, 'node_modules/@virtio-platform/cli/man/virtio-platform.1'), 'utf8');
    expect(page).toMatch(/^\.TH VIRTIO-PLATFORM 1 /);
    expect(page).toContain('.SH "EXIT STATUS"');
  });

  it('explains a profile, and prints the schema with the options of the plugins', async () => {
    const profile = 'node_modules/@virtio-platform/cli/profiles/pseries-linear.yaml';
    expect(await succeed('npx', ['virtio-platform', 'explain', profile], project)).toContain('linear');
    const schema = await succeed('npx', ['virtio-platform', 'schema'], project);
    expect(JSON.parse(schema)).toMatchObject({ type: 'object' });
    expect(schema).toContain('guestEndian');
  });

  it.each([
    ['nodenext', 'nodenext'],
    ['node20', 'node16'],
    ['preserve', 'bundler'],
  ])('has types for a program in TypeScript: module %s, moduleResolution %s', async (module, moduleResolution) => {
    const words = ['tsc', '--noEmit', '--strict', '--target', 'es2022', '--types', 'node', '--module', module];
    const all = [...words, '--moduleResolution', moduleResolution, join(folder, 'user.mts')];
    expect(await runProgram('npx', all, project)).toMatchObject({ status: 0, stdout: '' });
  });

  it('is a library that needs no polyfill', async () => {
    const { status, stdout, stderr } = await runProgram('npx', ['tsx', join(folder, 'user.mts')], project);
    expect([status, stdout, stderr]).toEqual([0, 'true physical true 4\n', '']);
  });
});
