import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  KIND,
  parseTrace,
  readTraceFile,
  TraceFile,
  type ChromeEvent,
  type FlightRecorder,
} from '@virtio-platform/trace';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-trace-'));
afterAll(() => rmSync(folder, { recursive: true }));

const entriesOf = (path: string): ChromeEvent[] => JSON.parse(readFileSync(path, 'utf8')).traceEvents;

/** A request that comes back, and one that does not. */
function recordRequests(recorder: FlightRecorder): void {
  for (const id of [3, 4]) recorder.record(KIND.add, 1, id, 4096 * id, 0, 0, 512, (1 << 16) | 2);
  recorder.mark(KIND.publish, 1, 1, 0, 2);
  for (const id of [3, 4]) recorder.record(KIND.pop, 1, id, -1, 0x8000_0000, 0x0800_0000, 512, (1 << 16) | 2);
  recorder.mark(KIND.push, 1, 3, 1, 0);
  recorder.mark(KIND.takeUsed, 1, 3, 1, 1);
  recorder.note(KIND.failure, -1, 0, 'ERR_DEVICE_STALLED: 1 of 2 requests "came" back\n');
}

describe('TraceFile', () => {
  it('is a whole file after each run, with a process for each', async () => {
    const file = new TraceFile(join(folder, 'runs.json'), 2);
    expect(await readTraceFile(file.path)).toEqual([]);
    const traces = ['first', 'second "run"'].map((name) => {
      const recorder = file.recorder();
      recordRequests(recorder);
      file.add(name, recorder);
      return { name, trace: recorder.read() };
    });
    expect(await readTraceFile(file.path)).toEqual(traces);
    file.close();
    file.close();
    expect(await readTraceFile(file.path)).toEqual(traces);
    expect(new Set(entriesOf(file.path).map(({ pid }) => pid))).toEqual(new Set([1, 2]));
  });

  it('has a slice for each buffer, which a buffer that does not come back ends with the trace', () => {
    const file = new TraceFile(join(folder, 'slices.json'));
    const recorder = file.recorder();
    recordRequests(recorder);
    file.add('run', recorder);
    file.close();
    const slices = entriesOf(file.path).filter(({ ph }) => ph === 'b' || ph === 'e');
    expect(slices.map(({ ph, name, id, args }) => [ph, name, id, args!['end'] ?? args!['written'] ?? ''])).toEqual([
      ['b', 'queue 1: buffer', '1.0', ''],
      ['b', 'queue 1: buffer', '1.1', ''],
      ['b', 'device', '1.0', ''],
      ['b', 'device', '1.1', ''],
      ['e', 'device', '1.0', 1],
      ['e', 'queue 1: buffer', '1.0', 'takeUsed'],
      ['e', 'device', '1.1', 'not pushed'],
      ['e', 'queue 1: buffer', '1.1', 'end of the trace'],
    ]);
    const arrows = entriesOf(file.path).filter(({ ph }) => ph === 's' || ph === 'f');
    expect(arrows.map(({ ph, id }) => `${ph} ${id}`)).toEqual(['s 1.0', 'f 1.0', 's 1.1', 'f 1.1']);
  });

  it('keeps the last events of a long run, and says how many there were', async () => {
    const file = new TraceFile(join(folder, 'long.json'), 1_000_000);
    const recorder = file.recorder();
    for (let i = 0; i < 10_000; i++) recorder.mark(KIND.push, 0, i, 0, 0);
    const { events, dropped } = file.add('long', recorder);
    file.close();
    expect(events).toBe(4096);
    expect(dropped).toBe(10_000 - 4096);
    const [run] = await readTraceFile(file.path);
    expect(run!.trace.dropped).toBe(dropped);
    expect(run!.trace.events[0]!.id).toBe(dropped);
  });

  it('cannot be made where there is no folder', () => {
    expect(() => new TraceFile(join(folder, 'missing/trace.json'))).toThrow(
      expect.objectContaining({ code: 'ERR_TRACE_FILE', message: expect.stringContaining('ENOENT') }),
    );
  });
});

/** An event as its file has it. */
const EVENT = { kind: 'push', index: 0, time: 1, queue: 0, id: 0, length: 0, extra: 0 };
const document = (args: object, more: object = {}): string =>
  JSON.stringify({
    traceEvents: [{ ph: 'i', pid: 1, tid: 1, args }],
    otherData: { format: 'virtio-platform-trace', version: 1, runs: [{ name: 'a', pid: 1, dropped: 0 }] },
    ...more,
  });

describe('readTraceFile', () => {
  it.each([
    ['{"traceEvents":[', 'JSON'],
    ['{"traceEvents":[]}', 'another program'],
    [document(EVENT, { otherData: { format: 'virtio-platform-trace', version: 2 } }), 'version 2'],
    [document(EVENT, { traceEvents: {} }), 'no list traceEvents'],
    [document({ ...EVENT, kind: 'toString' }), 'no event'],
    [document({ ...EVENT, time: '1' }), 'no event'],
    [document({ ...EVENT, deviceAddress: '12' }), 'no event'],
    [document({ ...EVENT, deviceAddress: `0x${'f'.repeat(17)}` }), 'no event'],
    [document({ ...EVENT, text: 1 }), 'no event'],
    ['null', 'another program'],
  ])('refuses what is no trace: %s', (text, problem) => {
    expect(() => parseTrace(text)).toThrow(
      expect.objectContaining({ code: 'ERR_TRACE_FILE', message: expect.stringContaining(problem) }),
    );
    expect(parseTrace(document(EVENT))[0]!.trace.events).toHaveLength(1);
  });

  it('names the file that is not there', async () => {
    const path = join(folder, 'nothing.json');
    await expect(readTraceFile(path)).rejects.toMatchObject({
      code: 'ERR_TRACE_FILE',
      message: expect.stringContaining(path),
    });
    writeFileSync(path, '[]');
    await expect(readTraceFile(path)).rejects.toMatchObject({ code: 'ERR_TRACE_FILE' });
  });
});
