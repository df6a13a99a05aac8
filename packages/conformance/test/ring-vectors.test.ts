import { readdirSync, readFileSync } from 'node:fs';
import { RingVectorReplay, type RingVector, type RingVectorAreas } from '@virtio-platform/conformance';
import { describe, expect, it } from 'vitest';
import { RING_VECTOR_SCENARIOS } from './ring-vector-scenarios.ts';

const FOLDER = new URL('../vectors/', import.meta.url);

function readVector(name: string): RingVector {
  return JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), 'utf8')) as RingVector;
}

describe('the golden vectors', () => {
  it('are those of the scenarios', () => {
    const names = Object.keys(RING_VECTOR_SCENARIOS).map((name) => `${name}.json`);
    expect(readdirSync(FOLDER).toSorted()).toEqual(names.toSorted());
  });

  it.each(Object.keys(RING_VECTOR_SCENARIOS))('agree with both ends of the queue, byte by byte: %s', (name) => {
    const { configuration, addresses, steps } = readVector(name);
    const replay = new RingVectorReplay(configuration);
    expect(replay.addresses).toEqual(addresses);
    for (const [i, step] of steps.entries()) expect(replay.perform(step.operation), `step ${i}`).toEqual(step);
  });

  it('see both indices wrap', () => {
    const { steps } = readVector('split-index-wrap');
    const indices = steps.map(({ areas }) => areas.driver.slice(4, 8) + areas.device.slice(4, 8));
    expect(new Set(indices)).toEqual(
      new Set(['fefffeff', 'fffffeff', 'ffffffff', '0000ffff', '00000000', '01000000', '01000100']),
    );
  });
});

/** Puts fields behind each other; the spaces are for the reader. */
function bytes(...fields: string[]): string {
  return fields.join('').replaceAll(' ', '');
}

/**
 * Worked out on paper from the figures of specification 1.4, for a queue of two: sections 2.7.5 (descriptor), 2.7.6
 * (available ring), 2.7.8 (used ring), 2.8.13 (packed descriptor), 2.8.14 (event suppression structure). Only what an
 * operation changes.
 */
interface ByHand {
  readonly afterAdd: RingVectorAreas;
  readonly afterPublish: Partial<RingVectorAreas>;
  readonly afterPush: Partial<RingVectorAreas>;
  readonly afterFlush: Partial<RingVectorAreas>;
  readonly afterDriverAsked: Partial<RingVectorAreas>;
  readonly afterDeviceAsked: Partial<RingVectorAreas>;
  readonly afterSecond: Partial<RingVectorAreas>;
}

const BY_HAND: Readonly<Record<string, ByHand>> = {
  'split-smallest': {
    afterAdd: {
      // le64 addr, le32 len, le16 flags, le16 next: a readable one with NEXT (1), then a writable one (2).
      descriptor: bytes('8877665544332211 10000000 0100 0100', '0000000001000000 00020000 0200 0000'),
      // le16 flags, le16 idx, le16 ring[2], le16 used_event: the entry is there, the index is not.
      driver: bytes('0000 0000', '0000 0000', '0000'),
      // le16 flags, le16 idx, { le32 id, le32 len } ring[2], le16 avail_event.
      device: bytes('0000 0000', '00000000 00000000', '00000000 00000000', '0000'),
    },
    afterPublish: { driver: bytes('0000 0100', '0000 0000', '0000') },
    afterPush: { device: bytes('0000 0000', '00000000 80010000', '00000000 00000000', '0000') },
    afterFlush: { device: bytes('0000 0100', '00000000 80010000', '00000000 00000000', '0000') },
    afterDriverAsked: { driver: bytes('0000 0100', '0000 0000', '0100') },
    afterDeviceAsked: { device: bytes('0000 0100', '00000000 80010000', '00000000 00000000', '0100') },
    afterSecond: {
      // 1514 bytes at address 0, which is as good as any: descriptor 0 again, and the second entry of the ring.
      descriptor: bytes('0000000000000000 ea050000 0200 0000', '0000000001000000 00020000 0200 0000'),
      driver: bytes('0000 0200', '0000 0000', '0100'),
    },
  },
  'split-smallest-big-endian': {
    afterAdd: {
      descriptor: bytes('1122334455667788 00000010 0001 0001', '0000000100000000 00000200 0002 0000'),
      driver: bytes('0000 0000', '0000 0000', '0000'),
      device: bytes('0000 0000', '00000000 00000000', '00000000 00000000', '0000'),
    },
    afterPublish: { driver: bytes('0000 0001', '0000 0000', '0000') },
    afterPush: { device: bytes('0000 0000', '00000000 00000180', '00000000 00000000', '0000') },
    afterFlush: { device: bytes('0000 0001', '00000000 00000180', '00000000 00000000', '0000') },
    afterDriverAsked: { driver: bytes('0000 0001', '0000 0000', '0001') },
    afterDeviceAsked: { device: bytes('0000 0001', '00000000 00000180', '00000000 00000000', '0001') },
    afterSecond: {
      descriptor: bytes('0000000000000000 000005ea 0002 0000', '0000000100000000 00000200 0002 0000'),
      driver: bytes('0000 0002', '0000 0000', '0001'),
    },
  },
  'packed-smallest': {
    afterAdd: {
      // le64 addr, le32 len, le16 id, le16 flags: WRITE (2) and AVAIL (0x80); the flags of the first are still to come.
      descriptor: bytes('8877665544332211 10000000 0000 0000', '0000000001000000 00020000 0000 8200'),
      // le16 offset and wrap counter, le16 flags: ENABLE (0).
      driver: '00000000',
      device: '00000000',
    },
    // NEXT (1) and AVAIL (0x80).
    afterPublish: { descriptor: bytes('8877665544332211 10000000 0000 8100', '0000000001000000 00020000 0000 8200') },
    afterPush: { descriptor: bytes('8877665544332211 80010000 0000 8100', '0000000001000000 00020000 0000 8200') },
    // WRITE (2), AVAIL (0x80) and USED (0x8000): the device wrote, in its first lap.
    afterFlush: { descriptor: bytes('8877665544332211 80010000 0000 8280', '0000000001000000 00020000 0000 8200') },
    // Both slots were used, so both ends wait at slot 0 with wrap counter 0, with DESC (2).
    afterDriverAsked: { driver: bytes('0000 0200') },
    afterDeviceAsked: { device: bytes('0000 0200') },
    // WRITE (2) and, in the second lap, USED (0x8000) without AVAIL.
    afterSecond: { descriptor: bytes('0000000000000000 ea050000 0000 0280', '0000000001000000 00020000 0000 8200') },
  },
};

describe.each(Object.entries(BY_HAND))('%s', (name, byHand) => {
  it('has the bytes that the figures of the specification give', () => {
    const [afterAdd, afterPublish, , afterPush, afterFlush, , afterDriverAsked, afterDeviceAsked, , afterSecond] =
      readVector(name).steps.map(({ areas }) => areas);
    expect({
      afterAdd,
      afterPublish,
      afterPush,
      afterFlush,
      afterDriverAsked,
      afterDeviceAsked,
      afterSecond,
    }).toMatchObject(byHand);
  });
});
