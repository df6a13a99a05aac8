import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Helpers, Processor, type Types } from '@paulirish/trace_engine';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { TraceFile } from '@virtio-platform/trace';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';

const REQUESTS = 60;
const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-engine-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The entries of the trace of a run. */
async function traced(name: string): Promise<Types.Events.Event[]> {
  const text = `extends: ${join(ROOT, 'profiles', name)}\nprofile: traced\nmatrix: []\nworkload: { requests: ${REQUESTS} }\n`;
  const profile = await loadProfile({ text, name: 'traced.yaml' }, { baseDirectory: folder });
  const path = join(folder, `${name}.json`);
  const file = new TraceFile(path);
  const recorder = file.recorder();
  await runProfile(profile, { recorder });
  file.add(profile.name, recorder);
  file.close();
  return (JSON.parse(readFileSync(path, 'utf8')) as { traceEvents: Types.Events.Event[] }).traceEvents;
}

describe('the trace engine of Chrome', () => {
  it.each(['sev-bounce.yaml', 'pseries-dynamic.yaml'])('reads the trace of %s', async (name) => {
    const events = await traced(name);
    const processor = Processor.TraceProcessor.createWithAllHandlers();
    await processor.parse(events, { isCPUProfile: false, isFreshRecording: false });
    const { Meta, Renderer } = processor.data!;
    expect(Meta.traceIsGeneric).toBe(true);

    const [[pid, threads] = []] = Meta.threadsInProcess;
    const names = [...threads!.values()].map(({ args }) => args.name);
    expect(names).toEqual(expect.arrayContaining(['run', 'driver', 'mapping', 'device', 'queue 0']));
    const device = [...Renderer.processes.get(pid!)!.threads.values()].find((thread) => thread.name === 'device')!;
    expect(device.entries.filter((entry) => entry.name === 'pop')).toHaveLength(REQUESTS);
    // It makes a tree of the slices of a thread, which have to be in each other.
    expect(device.tree!.roots.size).toBeGreaterThan(0);

    const halves = events.filter(({ ph }) => ['b', 'e'].includes(ph)) as Types.Events.PairableAsync[];
    const slices = Helpers.Trace.createMatchedSortedSyntheticEvents(halves);
    expect(slices.filter((slice) => slice.name === 'queue 0: buffer')).toHaveLength(REQUESTS);
    expect(slices).toHaveLength(halves.length / 2);
    for (const { dur } of slices) expect(dur).toBeGreaterThanOrEqual(0);
  });
});
