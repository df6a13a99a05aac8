import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reportsOf, ROOT, virtioPlatform, type CommandResult } from '../command/command.ts';
import { BROKEN_DEVICE_TYPES, DEVICE_PRELUDE } from './broken-device-types.ts';
import type { BrokenPlugin } from './broken-plugin.ts';
import { BROKEN_PLUGINS, PRELUDE } from './broken-plugins.ts';
import type { RunReport } from '@virtio-platform/runner';

const PAGE = readFileSync(join(ROOT, 'packages/core/docs/writing-a-platform.md'), 'utf8');
const CASES = Object.entries({ ...BROKEN_PLUGINS, ...BROKEN_DEVICE_TYPES });

let folder: string;
/** A good run, all broken ones, and another good run. */
let profiles: string[];

const path = (name: string): string => join(folder, name);
const shown = (name: string): string => relative(ROOT, path(name));

function writeCase(name: string, { kind, module, inWorker = false, streaming = false }: BrokenPlugin): string {
  writeFileSync(path(`${name}.mjs`), (kind === 'device' ? DEVICE_PRELUDE : PRELUDE) + module);
  const all = {
    platform: '{ use: ./offset-platform.js, offset: 0x2000000000 }',
    machine: `{ use: "@virtio-platform/machine-simulated", memory: 16MiB${inWorker ? ', device: worker' : ''} }`,
    device: '{ use: ./right-device.mjs, offers: [VERSION_1, ACCESS_PLATFORM] }',
    workload: '{ kind: read, requests: 20, depth: 4, blockSize: 64B }',
    driver: '{ timeout: 1s }',
  };
  const { platform, machine, ...ofDevice } = all;
  const sections = { platform, machine, ...(kind === 'device' && ofDevice) };
  const own = all[kind].replace(/use: [^,]*/, `use: ./${name}.mjs`);
  const yaml = Object.entries({ ...sections, [kind]: own }).map(([key, section]) => `${key}: ${section}\n`);
  const more = streaming ? 'driver: { buffers: streaming }\n' : '';
  const base = kind === 'device' ? 'summary: A broken device type.' : 'extends: ./base.yaml';
  writeFileSync(path(`${name}.yaml`), `${base}\nprofile: ${name}\n${yaml.join('')}${more}`);
  return path(`${name}.yaml`);
}

beforeAll(() => {
  folder = mkdtempSync(join(ROOT, 'test', '.broken-'));
  for (const [, name, text] of PAGE.matchAll(/```\w+ file=(\S+)\n([\s\S]*?)```/g))
    writeFileSync(path(name!), text!.replace('requests: 1000', 'requests: 20'));
  writeFileSync(path('base.yaml'), readFileSync(path('offset.yaml'), 'utf8'));
  for (const name of ['first', 'last']) writeFileSync(path(`${name}.yaml`), `extends: ./base.yaml\nprofile: ${name}\n`);
  const broken = CASES.map(([name, plugin]) => writeCase(name, plugin));
  profiles = [path('first.yaml'), ...broken, path('last.yaml')];
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Where a profile names its plugins: line and column. */
const PLACES = { platform: '3:18', machine: '4:17', device: '5:16' } as const;

/** The first line of the error, with the plugin and the place that names it. */
function firstLine(name: string, { kind, says, isOfDevice = false }: BrokenPlugin): string {
  if (isOfDevice) return says;
  const place = PLACES[kind];
  return `${shown(`${name}.mjs`)}: ${says} (${shown(`${name}.yaml`)}:${place})`;
}

function run(files: readonly string[], ...options: readonly string[]): Promise<CommandResult> {
  return virtioPlatform(['run', ...files, '--plugin-timeout', '10', ...options]);
}

const WITH_TIMER = 'load-never-ends-with-timer';

/** A stack as Node prints it. */
const RAW_STACK = /^ {4}at /m;

function expectNamed({ failure }: RunReport, name: string, plugin: BrokenPlugin): void {
  const { code, message, hint, plugin: blamed } = failure!;
  // A module's URL may follow.
  expect([code, message.replace(/: file:\S*/, '')]).toEqual([plugin.code, firstLine(name, plugin)]);
  expect(hint).toMatch(/./);
  if (plugin.hook !== undefined)
    expect(blamed).toMatchObject({ kind: plugin.kind, name: shown(`${name}.mjs`), hook: plugin.hook });
}

/** Broken plugins in one command: a process for each takes long. */
const OF_ONE_COMMAND = 16;
type Case = readonly [name: string, plugin: BrokenPlugin];
/** Some cases together, in commands of {@link OF_ONE_COMMAND}. */
function together(cases: readonly Case[]): readonly (readonly [label: string, cases: readonly Case[]])[] {
  return cases.flatMap(([name], at) =>
    at % OF_ONE_COMMAND === 0 ? [[`each from ${name} on`, cases.slice(at, at + OF_ONE_COMMAND)] as const] : [],
  );
}

/** A timer that goes on for ever hides from the others that nothing is left to do: its command has no others. */
const GROUPS: readonly (readonly [label: string, cases: readonly Case[]])[] = [
  [WITH_TIMER, [[WITH_TIMER, BROKEN_PLUGINS[WITH_TIMER]!]]],
  ...together(Object.entries(BROKEN_PLUGINS).filter(([name]) => name !== WITH_TIMER)),
  ...together(Object.entries(BROKEN_DEVICE_TYPES)),
];

describe('a broken plugin', () => {
  it('is one of many, of each kind', () => {
    for (const kind of ['platform', 'machine', 'device'])
      expect(CASES.filter(([, plugin]) => plugin.kind === kind).length).toBeGreaterThanOrEqual(15);
  });

  it.concurrent.each(GROUPS)('%s is named, and the runs beside it are there', async (_, cases) => {
    const files = cases.map(([name]) => path(`${name}.yaml`));
    const result = await run([profiles[0]!, ...files, profiles.at(-1)!], '--json');
    const reports = reportsOf(result);
    expect(reports.map((report) => [report.profile, report.outcome])).toEqual([
      ['first', 'completed'],
      ...cases.map(([name]) => [name, 'failed']),
      ['last', 'completed'],
    ]);
    expect([reports[0]!.differences, reports.at(-1)!.differences]).toEqual([[], []]);
    for (const [at, [name, plugin]] of cases.entries()) expectNamed(reports[at + 1]!, name, plugin);
    expect(result.stdout + result.stderr).not.toMatch(RAW_STACK);
    expect(result.status).toBe(2);
  });

  it('leaves all other runs of one command alone, and prints no stack', async () => {
    // Every third of them, of each kind: the groups above look at all, as data.
    const cases = CASES.filter(([name]) => name !== WITH_TIMER).filter((_, at) => at % 3 === 0);
    const broken = cases.map(([name]) => path(`${name}.yaml`));
    const { status, stdout, stderr } = await run([profiles[0]!, ...broken, profiles.at(-1)!]);
    expect(status).toBe(2);
    for (const name of ['first', 'last']) expect(stdout).toMatch(new RegExp(`^ok .*  ${name}  linear, `, 'm'));
    for (const [name, plugin] of cases) {
      const line = `failed ${firstLine(name, plugin)}`;
      // An error behind what explains it begins otherwise.
      const found = stdout.split('\n').map((text) =>
        text
          .trim()
          .replace(/: file:\S*/, '')
          .replace(/^error {3}/, 'failed '),
      );
      // What an explanation says too is only its code in the line of the error.
      const isRepeated = found.includes(line.replace(' ', '  ')) && found.includes(`failed ${plugin.code}`);
      if (!isRepeated) expect(found).toContain(`${line} [${plugin.code}]`);
    }
    expect(stdout + stderr).not.toMatch(RAW_STACK);
    expect(stdout).toContain(`2 of ${cases.length + 2} runs as expected`);
  });

  it('is named also where it throws after its run, during another one', async () => {
    const late = writeCase('late', {
      kind: 'device',
      module: `export default model({ start() { setTimeout(() => no('left behind'), 200); } });`,
      code: '',
      says: '',
    });
    const result = await run([late, path('device-process-keeps.yaml')], '--json');
    const [left, other] = reportsOf(result);
    expect(left!.failure).toMatchObject({ code: 'ERR_PLUGIN_HOOK', plugin: { name: shown('late.mjs') } });
    expect(left!.workload.verified).toBe(true);
    expect(other!.failure).toMatchObject({ code: 'ERR_DEVICE_STALLED', plugin: null, later: [] });
    expect([result.status, result.stdout + result.stderr]).toEqual([2, expect.not.stringMatching(RAW_STACK)]);
  });

  it('is not heard any more once its device half is disposed', async () => {
    const late = writeCase('silent', {
      kind: 'device',
      module: `let events; export default model({ connect: (given) => { events = given; }, dispose() {
  setTimeout(() => { events.queueChanged(); events.configChanged(); }, 200); } });`,
      code: '',
      says: '',
    });
    const reports = reportsOf(await run([late, path('device-process-keeps.yaml')], '--json'));
    expect(reports.map(({ outcome, failure }) => [outcome, failure?.code])).toEqual([
      ['completed', undefined],
      ['failed', 'ERR_DEVICE_STALLED'],
    ]);
  });

  it.each(['explain', 'matrix'])('is named by %s, which goes on with the others', async (command) => {
    writeFileSync(
      path('both.yaml'),
      'extends: ./base.yaml\nprofile: both\nmatrix:\n  platform.use: [./offset-platform.js, ./register-throws.mjs]\n',
    );
    const { status, stdout, stderr } = await virtioPlatform([command, path('both.yaml'), '--json']);
    const shownOf = (JSON.parse(stdout) as readonly { readonly profile: string }[]).map(({ profile }) => profile);
    // A matrix has a row for each layout.
    expect(new Set(shownOf)).toEqual(new Set(['both [platform.use=./offset-platform.js]']));
    expect(stderr).toContain(`${shown('register-throws.mjs')}: its \`register\` threw: no`);
    expect([status, stdout + stderr]).toEqual([2, expect.not.stringMatching(RAW_STACK)]);
  });

  it('prints nothing of its own into the output: a program reads JSON', async () => {
    const prints = "console.log('loaded'); process.stdout.write('here'); export default offset;";
    const file = writeCase('prints', { kind: 'platform', module: prints, code: '', says: '' });
    const result = await run([file], '--json');
    expect(reportsOf(result).map(({ outcome }) => outcome)).toEqual(['completed']);
    expect([result.status, result.stderr]).toEqual([0, 'loaded\nhere']);
  });

  it.each([
    'translate-throws',
    'worker-translate-throws',
    'map-throws',
    'boot-rejects',
    'load-throws',
    'device-process-throws',
    'device-worker-process-throws',
    'device-load-throws',
  ])('shows with --stack where %s', async (name) => {
    const { stdout } = await run([path(`${name}.yaml`)], '--stack');
    expect(stdout).toContain('cause: TypeError: no\n');
    expect(stdout).toMatch(new RegExp(`^ {4}at .*${name}\\.mjs:\\d+:\\d+`, 'm'));
  });
});
