import { PLAIN, recordingOf, screenLines, Stepper, Walk, type Key } from '@virtio-platform/step';
import { KIND } from '@virtio-platform/trace';
import { beforeAll, describe, expect, it } from 'vitest';
import { RecordedPair } from './recorded-pair.ts';

/** Two buffers, one after the other taken by the device, and taken back together. */
function twoBuffers(): RecordedPair {
  const ring = new RecordedPair({ eventIdx: true });
  ring.add(1, 1);
  ring.add(2, 0);
  ring.queue.publish();
  for (const written of [16, 0]) {
    ring.device.pop(ring.pair.chain);
    ring.device.push(ring.pair.chain.head, written);
  }
  ring.device.flush();
  ring.queue.takeUsed(ring.pair.batch);
  return ring;
}

describe('the keys', () => {
  let stepper: Stepper;
  const { walk } = twoBuffers();
  const press = (...keys: (string | Key)[]): boolean[] =>
    keys.map((key) => stepper.press(typeof key === 'string' ? { name: key, sequence: key } : key));
  const type = (text: string): void => {
    press('/', ...Array.from(text, (sequence) => ({ name: sequence.toLowerCase(), sequence })), 'return');
  };
  const kind = (): string => walk.recording.events[stepper.view.at]!.kind;

  beforeAll(() => {
    stepper = new Stepper(walk, 0);
  });

  it('go forwards and backwards, and stay at the ends', () => {
    press('right', 'j', 'space', 'n');
    expect(stepper.view.at).toBe(4);
    press('left', 'k', 'p', 'up');
    expect(stepper.view.at).toBe(0);
    press('left');
    expect(stepper.view).toMatchObject({ at: 0, message: 'that is the first event' });
    press('pagedown');
    expect(stepper.view).toMatchObject({ at: 10, message: null });
    press({ name: 'g', sequence: 'G' });
    expect(stepper.view.at).toBe(walk.length - 1);
    press('right');
    expect(stepper.view.message).toBe('that is the last event');
    press('pageup', { name: 'g', sequence: 'g' });
    expect(stepper.view.at).toBe(0);
  });

  it('search a kind, a buffer by number and by id, and words of the texts, and say where there is none', () => {
    type('publish');
    expect(kind()).toBe('publish');
    press('home');
    type('#2');
    const [first] = [stepper.view.at];
    expect(walk.buffersOf(first)).toEqual([2]);
    press('home');
    type('buffer 2');
    expect(kind()).toBe('map');
    type('used.idx = 2');
    expect(kind()).toBe('flush');
    press({ name: 'n', sequence: 'N' });
    expect(stepper.view.message).toBe('“used.idx = 2” is in no event before this one');
    type('nothing of this');
    expect(stepper.view.message).toBe('“nothing of this” is in no event behind this one');
    press('/', 'x', 'escape');
    expect(stepper.view.message).toBeNull();
  });

  it('follow one buffer from its mapping until it is back', () => {
    press('home', 'b');
    expect(stepper.view.message).toMatch(/^this event is about no buffer/);
    type('add');
    press('b', 'home');
    const kinds = [kind()];
    while (stepper.view.message === null) {
      press('right');
      if (stepper.view.message === null) kinds.push(kind());
    }
    expect(kinds).toEqual(['map', 'map', 'add', 'publish', 'pop', 'push', 'flush', 'unmap', 'unmap', 'takeUsed']);
    expect(stepper.view).toMatchObject({ following: 1, message: 'that is the last event of #1' });
    press('b');
    expect(stepper.view.following).toBeNull();
  });

  it('show a page of help, and end', () => {
    press('?');
    expect(screenLines(stepper.view, 80, 24, PLAIN).join('\n')).toContain('the next event');
    expect(press('right', 'q')).toEqual([true, false]);
    expect(press({ name: 'c', ctrl: true, sequence: '\u0003' })).toEqual([false]);
    press('?');
    expect(press('q')).toEqual([false]);
  });
});

describe('the screen', () => {
  const { walk } = twoBuffers();

  it.each([
    [80, 24],
    [120, 40],
    [200, 60],
    [40, 10],
    [20, 3],
    [10, 4],
    [3, 2],
    [1, 1],
  ])('fills %d columns and %d rows exactly, at each step', (columns, rows) => {
    for (let at = 0; at < walk.length; at++) {
      for (const isHelp of [false, true]) {
        const view = { ...new Stepper(walk, at).view, isHelp };
        const lines = screenLines(view, columns, rows, PLAIN);
        expect(lines).toHaveLength(rows);
        expect(lines.filter((line) => line.length > columns)).toEqual([]);
      }
    }
  });

  it.each([
    [80, 24],
    [120, 40],
  ])('shows the ring, the addresses and the events in %d columns and %d rows', async (columns, rows) => {
    const at = walk.find(0, 1, (i) => walk.recording.events[i]!.kind === 'push');
    const text = screenLines(new Stepper(walk, at).view, columns, rows, PLAIN).map((line) => line.trimEnd());
    await expect(`${text.join('\n')}\n`).toMatchFileSnapshot(`./screens/push-${columns}x${rows}.txt`);
  });

  it('has its help and its last lines whole in 80 columns', () => {
    const ring = twoBuffers();
    ring.recorder.record(KIND.status, -1, 1, -1, 0, 0, 0, 15);
    ring.add(1, 1);
    ring.queue.publish();
    ring.add(1, 1);
    ring.device.pop(ring.pair.chain);
    ring.device.push(ring.pair.chain.head, 16);
    const running = ring.walk;
    const stepper = new Stepper(running, running.length - 1);
    const [state] = screenLines(stepper.view, 80, 24, PLAIN).slice(-2);
    expect(state).toMatch(/^ DRIVER_OK {3}buffers: driver 1, written 1 \(2 of 4 back\) *$/);
    expect(screenLines(stepper.view, 120, 24, PLAIN).at(-2)).toMatch(
      /^ ACKNOWLEDGE\|DRIVER\|FEATURES_OK\|DRIVER_OK {3}/,
    );
    stepper.press({ name: '?', sequence: '?' });
    const help = screenLines(stepper.view, 80, 24, PLAIN);
    expect(help.filter((line) => line.includes('…'))).toEqual([]);
    expect(help.join('\n')).toContain('DEVICE ADDRESSES');
  });

  it('shows the buffers of a trace without memory whole in 80 columns', () => {
    const ring = new RecordedPair();
    ring.add(1, 1);
    ring.add(2, 0);
    const { events } = ring.recording;
    const bare = new Walk(recordingOf({ events, dropped: 0 }, 'bare'));
    const lines = screenLines(new Stepper(bare, bare.length - 1).view, 80, 24, PLAIN).map((line) => line.slice(0, 40));
    expect(lines.filter((line) => line.includes('…'))).toEqual([]);
    expect(lines.map((line) => line.trimEnd())).toContain(' buffer #  owner  segments bytes');
    expect(lines.map((line) => line.trimEnd())).toContain('>     2 #2 driver        2    32');
  });

  it('says of an event without a queue what it is', () => {
    const all = new RecordedPair({});
    all.recorder.note(KIND.negotiation, -1, 0, 'RING_PACKED declined by driver-supports: it does not support it');
    const at = all.walk.find(0, 1, (i) => all.walk.recording.events[i]!.kind === 'negotiation');
    const lines = screenLines(new Stepper(all.walk, at).view, 80, 30, PLAIN);
    expect(lines.find((line) => line.includes(`>${String(at + 1).padStart(4)} `))).toContain(
      'negotiation RING_PACKED declined',
    );
  });
});
