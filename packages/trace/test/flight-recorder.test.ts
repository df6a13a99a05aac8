import { describe, expect, it } from 'vitest';
import { FlightRecorder, KIND } from '@virtio-platform/trace';

describe('FlightRecorder', () => {
  it('gives back what it was told, negative numbers and large ones included', () => {
    const recorder = new FlightRecorder(16);
    recorder.record(KIND.map, 2, -3, 2 ** 40, 0xffff_f000, 0x8000_0001, 2 ** 32, -1);
    recorder.note(KIND.fault, -1, 0, 'nothing is mapped there');
    const { events, dropped } = recorder.read();
    expect(dropped).toBe(0);
    expect(events).toEqual([
      {
        index: 0,
        time: expect.any(Number),
        kind: 'map',
        queue: 2,
        id: -3,
        address: 2 ** 40,
        deviceAddress: 0x8000_0001_ffff_f000n,
        length: 2 ** 32,
        extra: -1,
        text: null,
      },
      expect.objectContaining({ kind: 'fault', queue: -1, address: null, text: 'nothing is mapped there' }),
    ]);
    expect(events[1]!.time).toBeGreaterThanOrEqual(events[0]!.time);
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
    expect(recorder.count).toBe(100);
  });
});
