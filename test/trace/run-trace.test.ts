import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { readTraceFile, TraceFile, type Trace } from '@virtio-platform/trace';
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
    const { status, stdout, stderr } = await commandHere(['run', '--trace', path]);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('ERR_TRACE_FILE');
  });
});
