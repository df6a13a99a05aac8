import { KIND } from '@virtio-platform/trace';
import { describe, expect, it } from 'vitest';
import { readRecording, recordedEvents, ReportRecorder } from '@virtio-platform/report';

/** Records `count` requests of one queue, each of an `add`, a `publish` and a `takeUsed`. */
function recordRequests(recorder: ReportRecorder, count: number, from = 0): void {
  for (let i = from; i < from + count; i++) {
    recorder.record(KIND.add, 0, i % 64, 0x1000, 0, 0, 4096, (1 << 16) | 2);
    recorder.record(KIND.publish, 0, 1, -1, 0, 0, 0, (i + 1) & 0xffff);
    recorder.record(KIND.takeUsed, 0, i % 64, -1, 0, 0, 512, (i + 1) & 0xffff);
  }
}

function enable(recorder: ReportRecorder): void {
  recorder.record(KIND.enableQueue, 0, 0, -1, 0, 0, 0, 64);
}

describe('a recorder for the page', () => {
  it('keeps all events of a short run in order', () => {
    const recorder = new ReportRecorder(1000);
    enable(recorder);
    recordRequests(recorder, 100);
    const { events, count, slices, latency } = readRecording(recorder);
    expect(count).toBe(301);
    expect(events.map(({ index }) => index)).toEqual(Array.from({ length: 301 }, (_, i) => i));
    expect(events.every(({ time }, i) => i === 0 || time >= events[i - 1]!.time)).toBe(true);
    expect(slices).toHaveLength(100);
    expect(latency?.count).toBe(100);
  });

  it('keeps of a long run the first and last events, and what is wrong or tells of memory in between', () => {
    const recorder = new ReportRecorder(1000);
    enable(recorder);
    recorder.note(KIND.negotiation, -1, 0, 'path translated');
    recordRequests(recorder, 1000);
    recorder.note(KIND.fault, -1, 0, 'write of 64 bytes at 0x3ff00000');
    recorder.record(KIND.premap, 0, -1, 0x2000, 0x9000, 0, 8192, 1);
    recordRequests(recorder, 1000, 1000);
    const { events, count, slices, latency } = readRecording(recorder);
    expect(count).toBe(6004);
    expect(events.length).toBeLessThanOrEqual(1000 + 4);
    expect(events[0]).toMatchObject({ index: 0, kind: 'enableQueue' });
    expect(events[1]).toMatchObject({ text: 'path translated' });
    expect(events.find(({ kind }) => kind === 'fault')).toMatchObject({
      index: 3002,
      text: 'write of 64 bytes at 0x3ff00000',
    });
    expect(events.find(({ kind }) => kind === 'premap')).toMatchObject({ address: 0x2000, deviceAddress: 0x9000n });
    expect(events.at(-1)).toMatchObject({ index: 6003, kind: 'takeUsed' });
    expect(events.every(({ time }, i) => i === 0 || time >= events[i - 1]!.time - 1)).toBe(true);
    // Every buffer is in the latencies, although most are not among the events; none is said to be lost.
    expect(latency?.count).toBe(2000);
    expect(slices.filter(({ taken }) => taken === null)).toEqual([]);
  });

  it('counts what happened when, for all of the run', () => {
    const recorder = new ReportRecorder(100);
    enable(recorder);
    recordRequests(recorder, 2000);
    const { counts, width } = recorder.activity;
    expect(counts.flat().reduce((sum, each) => sum + each, 0)).toBe(6001);
    expect(counts.every((track) => track.length <= 512)).toBe(true);
    expect(width).toBeGreaterThan(0);
  });

  it('pairs buffers with what their device did, and says which never came back', () => {
    const recorder = new ReportRecorder(1000);
    enable(recorder);
    const add = (id: number): void => recorder.record(KIND.add, 0, id, 0x1000, 0, 0, 100, 1);
    add(3);
    add(4);
    recorder.record(KIND.publish, 0, 1, -1, 0, 0, 0, 2);
    recorder.record(KIND.pop, 0, 3, -1, 0x1000, 0, 100, 1);
    recorder.record(KIND.push, 0, 3, -1, 0, 0, 40, 0);
    recorder.record(KIND.takeUsed, 0, 3, -1, 0, 0, 40, 1);
    add(-1);
    const { slices, places } = readRecording(recorder);
    expect(slices).toMatchObject([
      { id: 3, written: 40, lane: 0, taken: expect.any(Number), popped: expect.any(Number) },
      { id: 4, lane: 1, taken: null, popped: null },
    ]);
    expect(slices.map(({ index }) => places.get(index))).toEqual([
      { slot: 0, slots: 1 },
      { slot: 1, slots: 1 },
    ]);
  });

  it('gives a packed ring its slots by segments, around the end of the ring', () => {
    const recorder = new ReportRecorder(1000);
    recorder.record(KIND.enableQueue, 0, 0, -1, 0, 0, 0, 8);
    const add = (id: number): void => recorder.record(KIND.add, 0, id, 0x1000, 0, 0, 100, 3);
    add(0);
    add(1);
    recorder.record(KIND.publish, 0, 1, -1, 0, 0, 0, 6 | 0x8000);
    add(2);
    recorder.record(KIND.publish, 0, 1, -1, 0, 0, 0, 1);
    const { slices, places } = readRecording(recorder, 'packed');
    expect(slices.map(({ index }) => places.get(index))).toEqual([
      { slot: 0, slots: 3 },
      { slot: 3, slots: 3 },
      { slot: 6, slots: 3 },
    ]);
  });

  it('shares the events of a page among its runs', () => {
    expect(recordedEvents(1)).toBe(40_000);
    expect(recordedEvents(10)).toBe(6000);
    expect(recordedEvents(100_000)).toBe(600);
  });
});
