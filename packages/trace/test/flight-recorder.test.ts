import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { EVENT_KINDS, FlightRecorder, KIND, KIND_NAMES } from '@virtio-platform/trace';

describe('FlightRecorder', () => {
  it('gives back what it was told, negative numbers and large ones included', () => {
    const recorder = new FlightRecorder(16);
    recorder.record(KIND.map, 2, -3, 2 ** 40, 0xffff_f000, 0x8000_0001, 2 ** 32, -1);
    recorder.note(KIND.fault, -1, 0, 'nothing is mapped there', { deviceAddress: 0xf000_0000_ffff_f000n, length: 7 });
    recorder.mark(KIND.push, 65_535, -1, 2 ** 32 - 1, 0x7fff_ffff);
    const { events, dropped } = recorder.read();
    expect(dropped).toBe(0);
    const times = events.map(({ time }) => time);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    const [time] = [expect.any(Number)];
    expect(events).toEqual([
      {
        index: 0,
        time,
        kind: 'map',
        queue: 2,
        id: -3,
        address: 2 ** 40,
        deviceAddress: 0x8000_0001_ffff_f000n,
        length: 2 ** 32,
        extra: -1,
        text: null,
      },
      {
        index: 1,
        time,
        kind: 'fault',
        queue: -1,
        id: 0,
        address: null,
        deviceAddress: 0xf000_0000_ffff_f000n,
        length: 7,
        extra: 0,
        text: 'nothing is mapped there',
      },
      {
        index: 2,
        time,
        kind: 'push',
        queue: 65_535,
        id: -1,
        address: null,
        deviceAddress: 0n,
        length: 2 ** 32 - 1,
        extra: 0x7fff_ffff,
        text: null,
      },
    ]);
  });

  it('keeps the last events, and counts those before them', () => {
    const recorder = new FlightRecorder(16);
    for (let i = 0; i < 100; i++) {
      if (i % 10 === 0) recorder.note(KIND.failure, 0, i, `event ${i}`);
      else recorder.record(KIND.add, 0, i, 0, 0, 0, 0, 0);
    }
    const { events, dropped } = recorder.read();
    expect(dropped).toBe(84);
    expect(events.map(({ id }) => id)).toEqual(Array.from({ length: 16 }, (_, at) => 84 + at));
    expect(events.filter(({ text }) => text !== null).map(({ text }) => text)).toEqual(['event 90']);
    expect(recorder.read(3).events.map(({ index }) => index)).toEqual([97, 98, 99]);
    expect(recorder.read(3).dropped).toBe(97);
    expect(recorder.read(0)).toEqual({ events: [], dropped: 100 });
    expect(recorder.count).toBe(100);
  });

  it('gives events the time of the last tick, also where ticks outnumber what is kept', async () => {
    const recorder = new FlightRecorder(16);
    for (let batch = 0; batch < 40; batch++) {
      recorder.tick();
      recorder.tick();
      recorder.mark(KIND.add, 0, batch, 0, 0);
      await setTimeout(1);
      recorder.mark(KIND.push, 0, batch, 0, 0);
    }
    const { events } = recorder.read();
    expect(events).toHaveLength(16);
    for (let i = 0; i < 16; i += 2) {
      expect(events[i]!.id).toBe(events[i + 1]!.id);
      expect(events[i]!.time).toBe(events[i + 1]!.time);
      if (i > 0) expect(events[i]!.time - events[i - 1]!.time).toBeGreaterThan(0);
    }
  });

  it('takes the time of each event with full detail', async () => {
    const recorder = new FlightRecorder(16, { detail: 'full' });
    recorder.mark(KIND.add, 0, 0, 0, 0);
    await setTimeout(2);
    recorder.mark(KIND.push, 0, 0, 0, 0);
    const [add, push] = recorder.read().events;
    expect(push!.time - add!.time).toBeGreaterThan(0);
  });

  it('puts the events of another program in their places, however late they come', async () => {
    const recorder = new FlightRecorder(16);
    recorder.note(KIND.negotiation, -1, 0, 'first');
    await setTimeout(2);
    const between = performance.now();
    await setTimeout(2);
    recorder.note(KIND.negotiation, -1, 0, 'last');
    recorder.noteExternal(between, 'virtqueue_pop vq 0x1');
    recorder.noteExternal(recorder.startedAt - 1000, 'before the run');
    const { events, dropped } = recorder.read();
    const texts = ['before the run', 'first', 'virtqueue_pop vq 0x1', 'last'];
    expect(events.map(({ text }) => text)).toEqual(texts);
    expect(events.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(dropped + events.length).toBe(recorder.count);
    expect(recorder.read(2)).toEqual({ events: events.slice(2), dropped: 2 });
    // What was recorded before the events that are kept has no place among them.
    for (let i = 0; i < 16; i++) recorder.mark(KIND.add, 0, i, 0, 0);
    const later = recorder.read();
    expect(later.events.map(({ kind }) => kind)).toEqual(Array(16).fill('add'));
    expect(later.dropped + 16).toBe(recorder.count);
    expect(later.events.at(-1)!.index).toBe(recorder.count - 1);
  });

  it('has a row for each kind', () => {
    expect(Object.keys(EVENT_KINDS)).toEqual([...KIND_NAMES]);
    expect(Object.values(KIND)).toEqual(KIND_NAMES.map((_, at) => at));
  });
});
