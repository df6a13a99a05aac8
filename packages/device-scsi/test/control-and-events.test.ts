import { setTimeout } from 'node:timers/promises';
import { NOTHING_LEFT } from '@virtio-platform/conformance/testing';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import {
  read10Cdb,
  SENSE,
  testUnitReadyCdb,
  VIRTIO_SCSI_S_ABORTED,
  VIRTIO_SCSI_S_BAD_TARGET,
  VIRTIO_SCSI_S_BUSY,
  VIRTIO_SCSI_S_FAILURE,
  VIRTIO_SCSI_S_FUNCTION_REJECTED,
  VIRTIO_SCSI_S_FUNCTION_SUCCEEDED,
  VIRTIO_SCSI_S_INCORRECT_LUN,
  VIRTIO_SCSI_S_OK,
  VIRTIO_SCSI_S_RESET,
  writeLun,
} from '@virtio-platform/device-scsi';
import { afterEach, describe, expect, it } from 'vitest';
import { answerOf, requestOf, roomOf, ScsiExchange } from './scsi-exchange.ts';

let exchange: ScsiExchange;
afterEach(() => expect(exchange.loop.end()).toEqual(NOTHING_LEFT));

/** A task management function in bytes. */
function tmf(subtype: number, target = 0, lun = 0, id = 0): Uint8Array {
  const bytes = new Uint8Array(24);
  new DataView(bytes.buffer).setUint32(4, subtype, true);
  writeLun(bytes, 8, target, lun);
  new DataView(bytes.buffer).setBigUint64(16, BigInt(id), true);
  return bytes;
}

/** Asks the control queue. */
function manage(...of: Parameters<typeof tmf>): number | undefined {
  return exchange.loop.exchange(0, tmf(...of), 1)?.[0];
}

/** The events that came to buffers of a size: event, target, unit, reason. */
function events(buffers: number, size = 16): (number[] | undefined)[] {
  for (let i = 0; i < buffers; i++) exchange.loop.add(1, [], size);
  return exchange.loop.take(1).map((bytes) => {
    if (bytes.length < 16) return undefined;
    const view = new DataView(Uint8Array.from(bytes).buffer);
    return [view.getUint32(0, true), bytes[5]!, ((bytes[6]! & 0x3f) << 8) | bytes[7]!, view.getUint32(12, true)];
  });
}

const SLOW = { disks: [{ lun: 0 }, { lun: 1 }], slow: { every: 1, delay: 1000 } };
const SLOW_READ = { cdb: read10Cdb(0, 1), in: 512 };

describe('task management', () => {
  it.each([
    [0, 0, 0, VIRTIO_SCSI_S_OK],
    [1, 0, 0, VIRTIO_SCSI_S_OK],
    [2, 0, 0, VIRTIO_SCSI_S_FUNCTION_REJECTED],
    [3, 0, 0, VIRTIO_SCSI_S_OK],
    [4, 0, 9, VIRTIO_SCSI_S_OK],
    [5, 0, 0, VIRTIO_SCSI_S_OK],
    [6, 0, 0, VIRTIO_SCSI_S_OK],
    [7, 0, 0, VIRTIO_SCSI_S_OK],
    [8, 0, 0, VIRTIO_SCSI_S_FUNCTION_REJECTED],
    [5, 0, 9, VIRTIO_SCSI_S_INCORRECT_LUN],
    [5, 9, 0, VIRTIO_SCSI_S_BAD_TARGET],
    [4, 9, 0, VIRTIO_SCSI_S_BAD_TARGET],
  ])('function %d of target %d, unit %d is answered %d', (subtype, target, lun, response) => {
    exchange = new ScsiExchange();
    expect(manage(subtype, target, lun)).toBe(response);
  });

  it.each([
    [5, SENSE.LOGICAL_UNIT_RESET],
    [4, SENSE.NEXUS_LOSS],
  ])('tells the next command of a reset: function %d', (subtype, sense) => {
    exchange = new ScsiExchange();
    exchange.ready({ cdb: testUnitReadyCdb() });
    expect(manage(subtype)).toBe(VIRTIO_SCSI_S_OK);
    expect(exchange.send({ cdb: testUnitReadyCdb() }).sense).toBe(sense);
    expect(exchange.send({ cdb: testUnitReadyCdb() }).sense).toBe(0);
  });

  it.each([
    [0, VIRTIO_SCSI_S_ABORTED],
    [1, VIRTIO_SCSI_S_ABORTED],
    [3, VIRTIO_SCSI_S_ABORTED],
    [5, VIRTIO_SCSI_S_RESET],
    [4, VIRTIO_SCSI_S_RESET],
  ])('function %d ends the command that it is for with response %d', (subtype, response) => {
    exchange = new ScsiExchange(SLOW);
    exchange.loop.add(2, requestOf({ ...SLOW_READ, id: 77 }), roomOf(SLOW_READ));
    expect(exchange.loop.take(2)).toEqual([]);
    expect(manage(6, 0, 0, 77)).toBe(VIRTIO_SCSI_S_FUNCTION_SUCCEEDED);
    expect(manage(6, 0, 0, 78)).toBe(VIRTIO_SCSI_S_OK);
    expect(manage(7, 0, 1)).toBe(VIRTIO_SCSI_S_OK);
    expect(manage(0, 0, 1, 77)).toBe(VIRTIO_SCSI_S_OK);
    expect(exchange.loop.take(2)).toEqual([]);
    expect(manage(subtype, 0, 0, 77)).toBe(VIRTIO_SCSI_S_OK);
    const [answer] = exchange.loop.take(2);
    expect(answerOf(answer!, 96)).toMatchObject({ response, residual: 512, written: 108 });
    expect(manage(6, 0, 0, 77)).toBe(VIRTIO_SCSI_S_OK);
  });

  it('has nothing to say of requests that are none', () => {
    exchange = new ScsiExchange();
    expect(exchange.loop.exchange(0, tmf(5).subarray(0, 23), 1)).toEqual([VIRTIO_SCSI_S_FAILURE]);
    expect(exchange.loop.exchange(0, [9, 0, 0, 0], 1)).toEqual([VIRTIO_SCSI_S_FAILURE]);
    expect(exchange.loop.exchange(0, [0, 0], 1)).toEqual([VIRTIO_SCSI_S_FAILURE]);
    expect(exchange.loop.exchange(0, tmf(5))).toEqual([]);
    exchange.ready({ cdb: testUnitReadyCdb() });
    // A reset that could not be answered is not made.
    exchange.loop.exchange(0, tmf(5));
    expect(exchange.send({ cdb: testUnitReadyCdb() }).sense).toBe(0);
  });

  it('answers notification requests: disks have none of these events', () => {
    exchange = new ScsiExchange();
    for (const type of [1, 2]) {
      const bytes = new Uint8Array(16);
      bytes[0] = type;
      writeLun(bytes, 4, 0, 0);
      bytes[12] = 0x7e;
      expect(exchange.loop.exchange(0, bytes, 5)).toEqual([0, 0, 0, 0, VIRTIO_SCSI_S_OK]);
      writeLun(bytes, 4, 1, 0);
      expect(exchange.loop.exchange(0, bytes, 5)).toEqual([0, 0, 0, 0, VIRTIO_SCSI_S_BAD_TARGET]);
      expect(exchange.loop.exchange(0, bytes, 4)).toEqual([]);
    }
  });
});

describe('a command that takes its time', () => {
  it('is answered by itself, after others', async () => {
    exchange = new ScsiExchange({ slow: { every: 2, delay: 5 } });
    exchange.send({ cdb: testUnitReadyCdb() });
    exchange.loop.add(2, requestOf(SLOW_READ), roomOf(SLOW_READ));
    expect(exchange.loop.take(2)).toEqual([]);
    expect(exchange.send({ cdb: testUnitReadyCdb() })).toMatchObject({ status: 0 });
    await setTimeout(30);
    expect(answerOf(exchange.loop.take(2)[0]!, 96)).toMatchObject({
      response: 0,
      status: 0,
      residual: 0,
      written: 620,
    });
  });

  it('is refused with BUSY behind 16 others', () => {
    exchange = new ScsiExchange(SLOW);
    for (let id = 0; id < 17; id++) exchange.loop.add(2, requestOf({ cdb: testUnitReadyCdb(), id }), 108);
    expect(exchange.loop.take(2).map((answer) => answer[11])).toEqual([VIRTIO_SCSI_S_BUSY]);
  });

  it('is gone with the queue that is reset, and with the device', async () => {
    exchange = new ScsiExchange({ slow: { every: 1, delay: 1 } });
    exchange.loop.add(2, requestOf(SLOW_READ), roomOf(SLOW_READ));
    exchange.loop.serve();
    exchange.device.forget(2);
    expect(manage(7)).toBe(VIRTIO_SCSI_S_OK);
    await setTimeout(10);
    expect(exchange.loop.take(2)).toEqual([]);
  });
});

describe('events', () => {
  const changes = [
    { after: 1, do: 'unplug', lun: 1 },
    { after: 2, do: 'plug', lun: 1 },
    { after: 3, do: 'resize', capacity: '1MiB' },
    { after: 4, do: 'reset' },
  ] as const;
  const input = { disks: [{ lun: 0 }, { lun: 1 }], changes };

  it('tell what happened to each unit, and so do its commands', () => {
    exchange = new ScsiExchange(input);
    const codes = Array.from({ length: 6 }, () => exchange.send({ cdb: testUnitReadyCdb() }).sense);
    expect(codes).toEqual([
      SENSE.RESET,
      SENSE.LUNS_CHANGED,
      SENSE.LUNS_CHANGED,
      SENSE.CAPACITY_CHANGED,
      SENSE.RESET,
      0,
    ]);
    expect(events(6)).toEqual([
      [1, 0, 1, 2],
      [1, 0, 1, 1],
      [3, 0, 0, 0x092a],
      [1, 0, 0, 0],
    ]);
  });

  it('of units and of parameters come only with their features', () => {
    exchange = new ScsiExchange(input, { accepted: FeatureSet.of(VIRTIO_F_VERSION_1) });
    for (let i = 0; i < 6; i++) exchange.send({ cdb: testUnitReadyCdb() });
    expect(events(6)).toEqual([[1, 0, 0, 0]]);
  });

  it('that no buffer has room for are missed, and the next buffer says so', () => {
    exchange = new ScsiExchange(input);
    for (let i = 0; i < 3; i++) exchange.send({ cdb: testUnitReadyCdb() });
    expect(events(2, 15)).toEqual([undefined, undefined]);
    expect(events(1)).toEqual([[0x8000_0000, 0, 0, 0]]);
    for (let i = 0; i < 3; i++) exchange.send({ cdb: testUnitReadyCdb() });
    expect(events(2)).toEqual([
      [3, 0, 0, 0x092a],
      [1, 0, 0, 0],
    ]);
  });

  it('wait for buffers, 64 of them', () => {
    const many = Array.from({ length: 70 }, (_, at) => ({ after: at + 1, do: 'reset' }) as const);
    exchange = new ScsiExchange({ changes: many });
    for (let i = 0; i < 71; i++) exchange.send({ cdb: testUnitReadyCdb() });
    const seen: (number[] | undefined)[] = [];
    for (let i = 0; i < 4; i++) seen.push(...events(20));
    expect(seen).toHaveLength(64);
    expect(seen[0]).toEqual([0x8000_0001, 0, 0, 0]);
    expect(seen.slice(1).every((event) => event?.[0] === 1)).toBe(true);
  });

  it('of a unit that goes come after its commands', () => {
    const slow = { every: 1, delay: 1000 };
    exchange = new ScsiExchange({ ...input, slow });
    exchange.loop.add(2, requestOf({ cdb: testUnitReadyCdb(), lun: 1 }), 108);
    exchange.loop.add(2, requestOf({ cdb: testUnitReadyCdb() }), 108);
    expect(exchange.loop.take(2).map((answer) => answer[11])).toEqual([VIRTIO_SCSI_S_FAILURE]);
  });
});
