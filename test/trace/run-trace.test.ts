import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { FlightRecorder, readTraceFile, TraceFile, type Trace, type TraceEvent } from '@virtio-platform/trace';
import { afterAll, describe, expect, it } from 'vitest';
import { commandHere, ROOT } from '../command/command.ts';
import { formatProblems } from './chrome-format.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-trace-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Written {
  readonly text: string;
  /** As the recorder had it. */
  readonly recorded: Trace;
  /** As it is read from the file. */
  readonly read: Trace;
}

/** Runs what a shipped profile becomes with `more`, once, with a trace file. */
async function trace(name: string, more: string): Promise<Written> {
  const text = `extends: ${join(ROOT, 'profiles', name)}\nprofile: traced\nmatrix: []\n${more}`;
  const profile = await loadProfile({ text, name: 'traced.yaml' }, { baseDirectory: folder });
  const path = join(folder, `${name.replaceAll('/', '-')}-${Math.random()}.json`);
  const file = new TraceFile(path);
  const recorder = file.recorder();
  await runProfile(profile, { recorder });
  file.add(profile.name, recorder);
  file.close();
  const runs = await readTraceFile(path);
  expect(runs.map((run) => run.name)).toEqual(['traced']);
  return { text: readFileSync(path, 'utf8'), recorded: recorder.read(), read: runs[0]!.trace };
}

describe('the trace of a run', () => {
  it.each([
    ['pseries-dynamic.yaml', 'queue: { layout: split }\nworkload: { requests: 100 }\n'],
    ['pseries-dynamic.yaml', 'queue: { layout: packed }\nworkload: { requests: 100 }\n'],
    ['sev-bounce.yaml', 'workload: { requests: 100 }\n'],
    ['vfio-worker.yaml', 'workload: { requests: 100 }\n'],
    ['pseries/frozen-device.yaml', ''],
    ['console-hot-plug.yaml', ''],
  ])('has the form that Perfetto reads, and is read back as it was recorded: %s %j', async (name, more) => {
    const { text, recorded, read } = await trace(name, more);
    expect(formatProblems(text)).toEqual([]);
    expect(read).toEqual(recorded);
    expect(read.events.length).toBeGreaterThan(20);
  });

  it('has a slice for each buffer from add to takeUsed, one for the device in it, and an arrow to it', async () => {
    const { text } = await trace('pseries-dynamic.yaml', 'workload: { requests: 100, depth: 8 }\n');
    const entries: { ph: string; name: string; args?: Record<string, unknown> }[] = JSON.parse(text).traceEvents;
    const count = (ph: string, name: string): number =>
      entries.filter((entry) => entry.ph === ph && entry.name === name).length;
    for (const ph of ['b', 'e']) for (const name of ['queue 0: buffer', 'device']) expect(count(ph, name)).toBe(100);
    for (const ph of ['s', 'f']) expect(count(ph, 'available')).toBe(100);
    const values = (name: string): unknown[] =>
      entries.filter((entry) => entry.ph === 'C' && entry.name === name).map(({ args }) => args!['value']);
    expect(Math.max(...values('queue 0: in flight').map(Number))).toBe(8);
    expect(values('queue 0: in flight').at(-1)).toBe(0);
    expect(values('queue 0: available index').at(-1)).toBe(100);
    expect(values('queue 0: used index').at(-1)).toBe(100);
    // Everything is given back in the end.
    expect(values('live mappings').at(-1)).toBe(0);
  });

  it('counts the slots of the pool that buffers are copied through', async () => {
    const { read, text } = await trace('sev-bounce.yaml', 'workload: { requests: 100 }\n');
    const pools = read.events.filter(({ kind }) => kind === 'pool');
    expect(Math.max(...pools.map(({ extra }) => extra))).toBeGreaterThan(8);
    expect(text).toContain('"name":"pool slots"');
  });

  it('has each fault of the device where it happens, with its address', async () => {
    const { read } = await trace('pseries/frozen-device.yaml', '');
    const faults = read.events.filter(({ kind }) => kind === 'fault');
    expect(faults.length).toBeGreaterThan(0);
    for (const { text, deviceAddress, length } of faults) {
      expect(text).toContain(`0x${deviceAddress.toString(16)}`);
      expect(length).toBeGreaterThan(0);
    }
  });
});

/** The last events of a run of an embedded machine that has `more`, as a run without any option keeps them. */
async function lastEvents(name: string, more: string): Promise<readonly TraceEvent[]> {
  const text = `extends: ${join(ROOT, 'profiles', name)}\nprofile: recorded\nmatrix: []\nexpect: {}\n${more}`;
  const recorder = new FlightRecorder();
  await runProfile(await loadProfile({ text, name: 'recorded.yaml' }, { baseDirectory: folder }), { recorder });
  return recorder.read().events;
}
function textsOf(events: readonly TraceEvent[], wanted: string): (string | null)[] {
  return events.filter(({ kind }) => kind === wanted).map(({ text }) => text);
}

describe('the flight recorder of a run', () => {
  it('has the mismatch and the failure behind the buffers that led to them', async () => {
    const lost =
      'machine: { onFault: zeros }\nfailures: { wrongAddress: { nth: [30] } }\nworkload: { requests: 200 }\n';
    const events = await lastEvents('pseries-dynamic.yaml', `driver: { buffers: streaming }\n${lost}`);
    const [fault] = events.filter(({ kind }) => kind === 'fault');
    expect(fault?.text).toMatch(/^(read|write) of \d+ bytes? at 0x[0-9a-f]+: /);
    const [mismatch] = events.filter(({ kind }) => kind === 'mismatch');
    expect(mismatch?.text).toMatch(/ in request \d+, (read|write) of sector \d+: /);
    const taken = events.filter(({ kind, id }) => kind === 'takeUsed' && id === mismatch!.id);
    expect(taken.some(({ index }) => index < mismatch!.index)).toBe(true);
    expect(fault!.index).toBeLessThan(mismatch!.index);
  });

  it('has the calls of plugins that are awaited, and no access of memory', async () => {
    const events = await lastEvents('pseries-dynamic.yaml', 'workload: { requests: 40, depth: 8 }\n');
    expect(textsOf(events, 'plugin')).toEqual(
      expect.arrayContaining([
        'boot of machine @virtio-platform/machine-simulated',
        'workloads.write-read-verify.run of device block',
        'dispose of platform @virtio-platform/platform-pseries',
      ]),
    );
    expect(events.some(({ kind }) => kind === 'read' || kind === 'write' || kind === 'syncForDevice')).toBe(false);
    for (const kind of ['add', 'map', 'pop', 'push', 'unmap', 'takeUsed'] as const)
      expect(events.some((event) => event.kind === kind)).toBe(true);
    // Each publication shows something.
    const shown = events.filter(({ kind }) => kind === 'publish').map(({ extra }) => extra);
    expect(shown.length).toBeGreaterThan(4);
    expect(shown.filter((extra, at) => extra === shown[at - 1])).toEqual([]);
  });

  it('has the error of a run that fails', async () => {
    const events = await lastEvents('pseries/frozen-device.yaml', 'machine: { onFault: freeze }\n');
    expect(textsOf(events, 'failure')[0]).toMatch(/^ERR_DEVICE_FROZEN: /);
    const last = events.findLastIndex(({ kind }) => kind === 'takeUsed');
    expect(events.findIndex(({ kind }) => kind === 'failure')).toBeGreaterThan(last);
  });

  it('has the findings of the sanitizer where they are found', async () => {
    const text = `extends: ${join(ROOT, 'profiles/pseries-dynamic.yaml')}\nprofile: found\nmatrix: []\n`;
    const rogue = 'machine: { rogue: [{ after: 3, access: write, address: 0x3ff00000 }], onFault: silent }\n';
    const profile = await loadProfile({ text: text + rogue, name: 'found.yaml' }, { baseDirectory: folder });
    const recorder = new FlightRecorder(2 ** 17);
    const { findings } = await runProfile(profile, { recorder, sanitize: true });
    const found = textsOf(recorder.read().events, 'finding');
    expect(findings.length).toBeGreaterThan(0);
    expect(found).toEqual(findings.map(({ code, what }) => `${code}: ${what}`));
  });
});

describe('virtio-platform run --trace', () => {
  it('writes the runs of a command into one file, a process for each, and says what opens it', async () => {
    const path = join(folder, 'all.json');
    const profile = join(ROOT, 'profiles/vfio-pool.yaml');
    const { status, stdout } = await commandHere(['run', profile, '--trace', path]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/all\.json has \d+ events.*\. Open it at ui\.perfetto\.dev\./);
    const runs = await readTraceFile(path);
    expect(runs.length).toBeGreaterThan(1);
    for (const {
      trace: { events },
    } of runs)
      expect(events.some(({ kind }) => kind === 'takeUsed')).toBe(true);
    expect(formatProblems(readFileSync(path, 'utf8'))).toEqual([]);
  });

  it('runs nothing where the file cannot be made', async () => {
    const path = join(folder, 'missing/all.json');
    const { status, stdout, stderr } = await commandHere(['run', 'pseries-plain', '--trace', path]);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('ERR_TRACE_FILE');
  });
});
