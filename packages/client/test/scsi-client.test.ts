import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { inquiryCdb, read10Cdb, readCapacity10Cdb, write10Cdb } from '@virtio-platform/device-scsi';
import { describe, expect, it } from 'vitest';
import { openScsi } from '../src/index.ts';

const DISK = { target: 0, lun: 0, capacity: '1MiB' } as const;

describe('a SCSI host', () => {
  it('has commands that are answered, with data both ways, sense data, and many at once', async () => {
    await using host = await openScsi({ device: { type: 'scsi', disks: [DISK] } }, { depth: 4 });
    // Power on: the first command may be told of it.
    for (let answer = await host.command(0, 0, Buffer.alloc(6)); answer.status !== 0;)
      answer = await host.command(0, 0, Buffer.alloc(6));
    const inquiry = await host.command(0, 0, inquiryCdb(96), { dataIn: 96 });
    expect([inquiry.status, inquiry.data[0]! & 0x1f]).toEqual([0, 0]);
    const capacity = await host.command(0, 0, readCapacity10Cdb(), { dataIn: 8 });
    expect([capacity.data.readUInt32BE(0), capacity.data.readUInt32BE(4)]).toEqual([2047, 512]);
    const blocks = Array.from({ length: 40 }, (_, i) => Buffer.alloc(512, i + 1));
    await Promise.all(blocks.map((dataOut, i) => host.command(0, 0, write10Cdb(i, 1), { dataOut })));
    const read = await Promise.all(blocks.map((_, i) => host.command(0, 0, read10Cdb(i, 1), { dataIn: 512 })));
    expect(read.map(({ data }) => data)).toEqual(blocks);
    const beyond = await host.command(0, 0, read10Cdb(5000, 1), { dataIn: 512 });
    expect([beyond.status, beyond.senseCode, beyond.data.length]).toEqual([2, 0x05_2100, 0]);
    expect(host.statistics.rescued).toBe(0);
  });

  it('rejects a command for a target that is not there, and values that cannot be', async () => {
    await using host = await openScsi({ device: { type: 'scsi', disks: [DISK] } });
    await expect(host.command(9, 0, Buffer.alloc(6))).rejects.toMatchObject({
      code: 'ERR_DEVICE_REQUEST',
      statusName: 'BAD_TARGET',
    });
    await expect(host.command(0, 0, Buffer.alloc(0))).rejects.toThrow(RangeError);
    await expect(host.command(0, 0, 'x' as unknown as Buffer)).rejects.toThrow(TypeError);
    await expect(host.command(0, 99_999, Buffer.alloc(6))).rejects.toThrow(RangeError);
    await expect(host.command(0, 0, Buffer.alloc(6), { dataIn: host.maxBytes + 1 })).rejects.toThrow(RangeError);
    await expect(host.command(0, 0, Buffer.alloc(6), { signal: AbortSignal.abort() })).rejects.toThrow(/aborted/);
  });

  it('tells of a unit that changes', async () => {
    const changes = [{ after: 2, do: 'resize', target: 0, lun: 0, capacity: '2MiB' }];
    await using host = await openScsi({ device: { type: 'scsi', disks: [DISK], changes } });
    const told = once(host, 'unit');
    for (let i = 0; i < 4; i++) await host.command(0, 0, Buffer.alloc(6));
    expect(await told).toEqual([expect.objectContaining({ hasMissed: false })]);
  });

  it('has a unit end a command whose signal is aborted, and goes on', async () => {
    const slow = { every: 3, delay: 1000 };
    await using host = await openScsi({ device: { type: 'scsi', disks: [DISK], slow } });
    for (let i = 0; i < 2; i++) await host.command(0, 0, Buffer.alloc(6));
    const stop = new AbortController();
    const held = host.command(0, 0, inquiryCdb(96), { dataIn: 96, signal: stop.signal });
    const ended = held.then(
      () => undefined,
      (error: unknown) => error,
    );
    await setTimeout(10);
    stop.abort(new Error('no longer wanted'));
    expect(await ended).toMatchObject({ message: 'no longer wanted' });
    expect((await host.command(0, 0, inquiryCdb(96), { dataIn: 96 })).status).toBe(0);
    expect(host.statistics.rescued).toBe(0);
  });

  it('manages tasks: a reset of the unit ends what it has', async () => {
    const slow = { every: 3, delay: 1000 };
    await using host = await openScsi({ device: { type: 'scsi', disks: [DISK], slow } });
    for (let i = 0; i < 2; i++) await host.command(0, 0, Buffer.alloc(6));
    const held = host.command(0, 0, inquiryCdb(96), { dataIn: 96 });
    await setTimeout(10);
    expect(await host.manage('query-task-set', 0, 0)).toBe('found');
    expect(await host.manage('logical-unit-reset', 0, 0)).toBe('complete');
    await expect(held).rejects.toMatchObject({ statusName: 'RESET' });
    expect(await host.manage('query-task-set', 0, 0)).toBe('complete');
    await expect(host.manage('query-task-set', 9, 0)).rejects.toMatchObject({ statusName: 'BAD_TARGET' });
    await expect(host.manage('unit-reset' as never, 0, 0)).rejects.toThrow(TypeError);
    await expect(host.manage('clear-aca', 0, 99_999)).rejects.toThrow(RangeError);
  });
});
