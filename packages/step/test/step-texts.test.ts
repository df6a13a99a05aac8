import { recordingOf, tellStep, Walk } from '@virtio-platform/step';
import { KIND, KIND_NAMES, type EventKind } from '@virtio-platform/trace';
import { describe, expect, it } from 'vitest';
import { RecordedPair } from './recorded-pair.ts';

/** What the events of a kind say, of one buffer of three segments that goes there and back. */
function told(options: ConstructorParameters<typeof RecordedPair>[0], kind: EventKind): string {
  const ring = new RecordedPair(options);
  ring.add(2, 1);
  ring.queue.publish();
  ring.device.enableNotifications();
  ring.device.pop(ring.pair.chain);
  ring.device.push(ring.pair.chain.head, 16);
  ring.device.flush();
  ring.queue.enableNotifications();
  ring.queue.takeUsed(ring.pair.batch);
  const { walk } = ring;
  const at = walk.find(0, 1, (i) => walk.recording.events[i]!.kind === kind);
  const { text, section } = tellStep(walk, walk.step(at));
  return `${text} (${section ?? '-'})`;
}

describe('the texts of a split ring', () => {
  it('say where a buffer is described, and which store gives it away', () => {
    expect(told({}, 'add')).toMatch(/in descriptors 0, 1 and 2, and writes 0, the head, into avail\.ring\[0\]/);
    expect(told({ indirect: 4 }, 'add')).toMatch(
      /in an indirect table and refers to it by descriptor 0 alone \(2\.7\.5\.3\)/,
    );
    expect(told({}, 'publish')).toBe(
      'The driver writes avail.idx = 1. From now on the device may take buffer 0. ' +
        'used.flags is without NO_NOTIFY (2.7.10), so the device wants a notification. (2.7.13.3)',
    );
    expect(told({ eventIdx: true }, 'publish')).toContain('avail_event is 0, and avail.idx just passed it (2.7.10)');
  });

  it('say what the device answers, and which store shows it', () => {
    expect(told({}, 'push')).toContain('It writes { id 0, len 16 } into used.ring[0].');
    expect(told({}, 'flush')).toMatch(
      /^The device writes used\.idx = 1\. From now on the driver may take buffer 0 back\./,
    );
    expect(told({ inOrder: true }, 'push')).toMatch(/one used entry may stand for all buffers up to it.*\(2\.7\.9\)$/);
    expect(told({ eventIdx: true }, 'enableNotifications')).toMatch(/^The driver writes used_event = 0 in queue 0/);
  });
});

describe('the texts of a packed ring', () => {
  const layout = 'packed';

  it('say which slots a buffer takes, and that the flags of the first one give it away', () => {
    expect(told({ layout }, 'add')).toMatch(
      /in slots 0 to 2, one after the other, with buffer id 0\. The flags of slot 0/,
    );
    expect(told({ layout, indirect: 4 }, 'add')).toContain('refers to it by slot 0 alone (2.8.7)');
    expect(told({ layout }, 'publish')).toMatch(/^The driver writes the flags of slot 0: .*\(2\.8\.21\.1\)$/);
  });

  it('say which slot is used, and how the driver asks', () => {
    expect(told({ layout }, 'push')).toContain('a used descriptor with id 0 and length 16 into slot 0');
    expect(told({ layout, inOrder: true }, 'push')).toMatch(/\(2\.8\.8\)$/);
    expect(told({ layout, eventIdx: true }, 'enableNotifications')).toContain('at slot 0 (wrap 1)');
    expect(told({ layout }, 'takeUsed')).toMatch(
      /3 slots of the ring are free again\. .* slot 3 \(wrap 1\)\. \(2\.8\.22\)$/,
    );
  });
});

describe('each kind of event', () => {
  it.each(KIND_NAMES)('%s says something, also where nothing is known of what was before', (kind) => {
    expect(KIND[kind]).toBeTypeOf('number');
    const event = {
      index: 0,
      time: 0,
      kind,
      queue: 0,
      id: 1,
      address: 4096,
      deviceAddress: 8192n,
      length: 16,
      extra: 1,
    };
    const walk = new Walk(recordingOf({ events: [{ ...event, text: 'words' }], dropped: 3 }, 'one'));
    const { text } = tellStep(walk, walk.step(0));
    expect(text).toMatch(/^[A-Z]/);
    expect(text).not.toMatch(/undefined|NaN|null/);
  });
});
