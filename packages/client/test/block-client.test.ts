import { setTimeout as delay } from 'node:timers/promises';
import { loadProfile } from '@virtio-platform/profile';
import { describe, expect, it } from 'vitest';
import { ClientError, openBlock, RequestError } from '../src/index.ts';
import { HERE, lateDisk } from './late-profile.ts';

const RAM_DISK = { device: { type: 'block', capacity: '1MiB' } } as const;

function coded(code: string, message?: RegExp): unknown {
  return expect.objectContaining({ code, ...(message && { message: expect.stringMatching(message) }) });
}

/** A value for each of the promises: `ok`, or the code or name of the error. */
async function outcomes(promises: readonly Promise<unknown>[]): Promise<string[]> {
  const settled = await Promise.allSettled(promises);
  return settled.map((result) => {
    if (result.status === 'fulfilled') return 'ok';
    const { name, code } = result.reason as { readonly name: string; readonly code?: string };
    return name === 'AbortError' ? name : (code ?? name);
  });
}

describe.each(['same-thread', 'worker'] as const)('a disk of the embedded machine, device in the %s', (device) => {
  const machine = { use: '@virtio-platform/machine-simulated', memory: '8MiB', device } as const;

  it('reads what was written, with numbers and bigints, in one part and in many', async () => {
    await using disk = await openBlock({ ...RAM_DISK, machine }, { partBytes: 4096 });
    expect([disk.capacity, disk.blockSize, disk.isReadOnly]).toEqual([1n << 20n, 512, false]);
    const long = Buffer.from(Array.from({ length: 100 * 1024 }, (_, i) => i & 0xff));
    await disk.write(512n, Buffer.from('sector'.padEnd(512)));
    await disk.write(8192, long);
    expect((await disk.read(512, 512)).toString().trim()).toBe('sector');
    expect((await disk.read(8192n, long.length)).equals(long)).toBe(true);
    const target = new Uint8Array(1024);
    await disk.readInto(8192, target);
    expect(Buffer.from(target).equals(long.subarray(0, 1024))).toBe(true);
    expect(await disk.read(0, 0)).toEqual(Buffer.alloc(0));
    await disk.write(0, Buffer.alloc(0));
    await disk.flush();
  });

  it('answers many requests at once as a model does, whatever their order', async () => {
    await using disk = await openBlock({ ...RAM_DISK, machine }, { partBytes: 1024, depth: 8 });
    const model = Buffer.alloc(1 << 20);
    for (let round = 0; round < 20; round++) {
      // No two requests of a round touch the same sectors: only then is the outcome known.
      const places = Array.from({ length: 60 }, (_, i) => ({
        at: i * 16384,
        bytes: 512 * (1 + ((i * 7 + round) % 12)),
      }));
      const calls = places.map(async ({ at, bytes }, i) => {
        if ((i + round) % 2 === 0) {
          model.fill((i * 31 + round) & 0xff, at, at + bytes);
          await disk.write(at, model.subarray(at, at + bytes));
        } else expect((await disk.read(BigInt(at), bytes)).equals(model.subarray(at, at + bytes))).toBe(true);
      });
      await Promise.all(calls);
    }
    expect((await disk.read(0, 1 << 20)).equals(model)).toBe(true);
    expect(disk.statistics.rescued).toBe(0);
  });

  it('ends everything with `close`, after all that was called, and once', async () => {
    const disk = await openBlock({ ...RAM_DISK, machine }, { depth: 2 });
    let closes = 0;
    disk.on('close', () => closes++);
    const calls = Array.from({ length: 50 }, (_, i) => disk.write(i * 512, Buffer.alloc(512, i)));
    const closing = disk.close();
    expect(await outcomes([disk.read(0, 512)])).toEqual(['ERR_CLIENT_CLOSED']);
    await Promise.all(calls);
    await closing;
    await disk.close();
    await disk[Symbol.asyncDispose]();
    expect([closes, disk.isClosed]).toEqual([1, true]);
    await expect(disk.write(0, Buffer.alloc(512))).rejects.toEqual(coded('ERR_CLIENT_CLOSED'));
    await expect(disk.flush()).rejects.toEqual(coded('ERR_CLIENT_CLOSED'));
  });
});

describe('a request to a disk', () => {
  it.each([
    ['a length that is no block', 0, 100, RangeError],
    ['an offset within a block', 100, 512, RangeError],
    ['a range beyond the end', (1 << 20) - 512, 1024, RangeError],
    ['a negative offset', -512, 512, RangeError],
    ['an offset beyond all numbers', 1n << 70n, 512, RangeError],
    ['an offset that is no whole number', 0.5, 512, RangeError],
    ['an offset that is no number', '0' as unknown as number, 512, TypeError],
    ['a length that is no number', 0, undefined as unknown as number, TypeError],
  ])('rejects %s at once', async (_, offset, length, kind) => {
    await using disk = await openBlock(RAM_DISK);
    await expect(disk.read(offset, length)).rejects.toThrow(kind);
    await expect(disk.discard(offset, length)).rejects.toThrow(kind);
  });

  it('rejects what is no data', async () => {
    await using disk = await openBlock(RAM_DISK);
    await expect(disk.write(0, 'text' as unknown as Buffer)).rejects.toThrow(TypeError);
    await expect(disk.write(0, Buffer.alloc(511))).rejects.toThrow(RangeError);
    await expect(disk.readInto(0, [] as unknown as Buffer)).rejects.toThrow(TypeError);
  });

  it('rejects a write to a disk that is read-only, and a discard that it does not have', async () => {
    await using disk = await openBlock({ device: { ...RAM_DISK.device, readOnly: true } });
    expect(disk.isReadOnly).toBe(true);
    await expect(disk.write(0, Buffer.alloc(512))).rejects.toEqual(coded('ERR_DEVICE_READ_ONLY'));
    await using other = await openBlock({ device: { ...RAM_DISK.device, offers: ['VERSION_1'] } });
    await expect(other.discard(0, 512)).rejects.toEqual(coded('ERR_FEATURE_REQUIRED'));
    await other.flush();
  });

  it('that the device answers with an error rejects with a typed one, and the disk goes on', async () => {
    await using disk = await openBlock(lateDisk('fail'), HERE);
    const calls = Array.from({ length: 9 }, (_, i) => disk.write(i * 512, Buffer.alloc(512)));
    expect(await outcomes(calls)).toEqual(
      Array.from({ length: 9 }, (_, i) => (i % 3 === 2 ? 'ERR_DEVICE_REQUEST' : 'ok')),
    );
    const error: unknown = await calls[2]!.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RequestError);
    expect(error).toMatchObject({ operation: 'write', offset: 1024, length: 512, status: 1, statusName: 'IOERR' });
    expect(disk.isClosed).toBe(false);
  });
});

describe('an aborted request', () => {
  it('is taken back where it waits, and rejects when it came back where the device has it', async () => {
    await using disk = await openBlock(lateDisk('hold'), { ...HERE, depth: 8 });
    const controllers = Array.from({ length: 12 }, () => new AbortController());
    const calls = controllers.map(({ signal }, i) => disk.write(i * 512, Buffer.alloc(512, i + 1), { signal }));
    // The device gets eight, and answers in the next turn of the event loop.
    await Promise.resolve();
    expect(disk.queued).toBe(4);
    controllers[0]!.abort(new Error('mine'));
    controllers[10]!.abort();
    expect(await outcomes([calls[10]!])).toEqual(['AbortError']);
    expect(disk.queued).toBeLessThanOrEqual(3);
    await expect(calls[0]).rejects.toThrow('mine');
    expect(await outcomes(calls.slice(1, 8))).toEqual(Array.from({ length: 7 }, () => 'ok'));
    // Three wait with the device for five more.
    const more = Array.from({ length: 5 }, (_, i) => disk.read(i * 512, 512));
    expect(await outcomes([...calls.slice(8, 10), calls[11]!, ...more])).toEqual(Array.from({ length: 8 }, () => 'ok'));
    expect(disk.queued).toBe(0);
  });

  it('is not called where its signal is aborted already, and leaves no listener behind', async () => {
    await using disk = await openBlock(RAM_DISK);
    await expect(disk.read(0, 512, { signal: AbortSignal.abort() })).rejects.toThrow(/aborted/);
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...words: Parameters<typeof add>) => (listeners++, add(...words));
    signal.removeEventListener = (...words: Parameters<typeof remove>) => (listeners--, remove(...words));
    for (let i = 0; i < 10; i++) await disk.read(0, 512, { signal });
    expect(listeners).toBe(0);
  });

  it('of many parts submits no more of them', async () => {
    await using disk = await openBlock(lateDisk('late'), { ...HERE, partBytes: 512, depth: 2 });
    const controller = new AbortController();
    const call = disk.read(0, 1 << 20, { signal: controller.signal });
    await delay(5);
    controller.abort();
    await expect(call).rejects.toThrow(/aborted/);
    expect((await disk.read(0, 512)).length).toBe(512);
  });
});

describe('a disk whose configuration changes', () => {
  it('tells of it, and has the capacity that it has by then', async () => {
    const resizes = [{ after: 3, capacity: '2MiB' }];
    await using disk = await openBlock({ device: { ...RAM_DISK.device, resizes } });
    const changes: (string | undefined)[] = [];
    disk.on('change', (what) => changes.push(what));
    await expect(disk.read(1 << 20, 512)).rejects.toThrow(RangeError);
    for (let i = 0; i < 4; i++) await disk.read(0, 512);
    await delay(1);
    expect([disk.capacity, changes]).toEqual([2n << 20n, ['capacity 1MiB to 2MiB']]);
    await disk.write(1 << 20, Buffer.alloc(512, 9));
    expect((await disk.read(1 << 20, 512))[0]).toBe(9);
  });
});

describe('backpressure of a disk', () => {
  it('refuses a request where too many wait, and tells when there is room', async () => {
    await using disk = await openBlock(lateDisk('late'), { ...HERE, depth: 2, maxQueued: 10 });
    const calls = Array.from({ length: 30 }, (_, i) => disk.read(i * 512, 512));
    const told = await outcomes(calls);
    expect(told.filter((outcome) => outcome === 'ERR_CLIENT_FULL').length).toBeGreaterThan(15);
    expect(told.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 'ok'));
    for (let i = 0; i < 100; i++) {
      await disk.ready();
      disk.read(0, 512).catch((error: unknown) => expect(error).toBe(undefined));
    }
  });
});

describe('a disk that fails', () => {
  it('rejects everything once, tells of it, and is closed', async () => {
    const disk = await openBlock(lateDisk('crash'), { ...HERE, depth: 4 });
    const failures: unknown[] = [];
    disk.on('failed', (error) => failures.push(error));
    const closed = new Promise<void>((resolve) => disk.once('close', resolve));
    const calls = Array.from({ length: 40 }, (_, i) => disk.read(i * 512, 512));
    const told = await outcomes(calls);
    expect(told.filter((outcome) => outcome === 'ok').length).toBeLessThan(20);
    expect(new Set(told)).toEqual(new Set(['ok', 'ERR_DEVICE_NEEDS_RESET']));
    await closed;
    expect(failures).toHaveLength(1);
    const error: unknown = await disk.read(0, 512).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ClientError);
    expect(error).toMatchObject({ code: 'ERR_CLIENT_CLOSED', cause: failures[0] });
    await disk.close();
  });

  it('that never answers is stalled, after the time of the profile', async () => {
    const disk = await openBlock({ ...lateDisk('hold'), driver: { timeout: '1s' } }, HERE);
    await expect(disk.read(0, 512)).rejects.toEqual(coded('ERR_DEVICE_STALLED', /1 buffer/));
    await disk.close();
  });

  it('`destroy` rejects what the device has, and what waits', async () => {
    const disk = await openBlock(lateDisk('hold'), { ...HERE, depth: 4 });
    const calls = Array.from({ length: 6 }, (_, i) => disk.read(i * 512, 512));
    await delay(1);
    const destroyed = disk.destroy();
    expect(await outcomes(calls)).toEqual(Array.from({ length: 6 }, () => 'ERR_CLIENT_CLOSED'));
    await destroyed;
    await disk.close();
  });
});

describe('openBlock', () => {
  it('refuses a device of another type, a depth that cannot be, and what negotiation refuses', async () => {
    const entropy = {
      device: { type: 'entropy' },
      workload: { kind: 'read', requests: 1, depth: 1, blockSize: '64B' },
    };
    await expect(openBlock(entropy)).rejects.toEqual(coded('ERR_CLIENT_DEVICE', /type entropy, not block/));
    await expect(openBlock(RAM_DISK, { depth: 0 })).rejects.toThrow(RangeError);
    await expect(openBlock(RAM_DISK, { maxQueued: '1' as unknown as number })).rejects.toThrow(TypeError);
    const refused = {
      ...RAM_DISK,
      platform: { use: '@virtio-platform/platform-vfio' },
      device: { ...RAM_DISK.device, offers: ['VERSION_1'] },
    };
    await expect(openBlock(refused)).rejects.toEqual(coded('ERR_CLIENT_REFUSED'));
  });

  it('takes an object without a workload, whatever the blocks of its disk', async () => {
    const machine = { use: '@virtio-platform/machine-simulated', memory: '32MiB' };
    for (const blockSize of ['4KiB', 65_536]) {
      await using disk = await openBlock({ machine, device: { type: 'block', capacity: '8MiB', blockSize } });
      const block = Buffer.alloc(disk.blockSize, 7);
      await disk.write(disk.blockSize, block);
      expect((await disk.read(disk.blockSize, disk.blockSize)).equals(block)).toBe(true);
    }
  });

  it('says what is wrong with an object in terms of what it has', async () => {
    await expect(openBlock({ device: { type: 'net' } })).rejects.toEqual(
      coded('ERR_CLIENT_DEVICE', /type net, not block/),
    );
    await expect(openBlock({ device: { type: 'block', capacity: '1MiB', blockSize: '3KiB' } })).rejects.toEqual(
      coded('ERR_PROFILE_INVALID', /^device\.blockSize: [^\n]*$/),
    );
    await expect(openBlock(null as unknown as object)).rejects.toEqual(coded('ERR_PROFILE_INVALID', /not null/));
    const signal = 'soon' as unknown as AbortSignal;
    await expect(openBlock(RAM_DISK, { signal })).rejects.toThrow(/signal is "soon", not an AbortSignal/);
    await using disk = await openBlock(RAM_DISK);
    await expect(disk.read(0, 512, { signal })).rejects.toThrow(/signal is "soon", not an AbortSignal/);
  });

  it('takes a path, text, and a loaded profile', async () => {
    const path = new URL('../../../profiles/pseries-plain.yaml', import.meta.url);
    const legacy = new URL('../../../profiles/legacy-big-endian.yaml', import.meta.url);
    for (const source of [path, legacy, await loadProfile(path)]) {
      await using disk = await openBlock(source);
      await disk.write(0, Buffer.alloc(512, 1));
      expect((await disk.read(0, 512))[511]).toBe(1);
    }
  });

  it('is aborted at any time, and then leaves nothing', async () => {
    await expect(openBlock(RAM_DISK, { signal: AbortSignal.abort(new Error('mine')) })).rejects.toThrow('mine');
    for (let ms = 0; ms < 40; ms += 8) {
      const controller = new AbortController();
      const opening = openBlock(lateDisk('late', 'worker'), { ...HERE, signal: controller.signal });
      const outcome = opening.then(
        (disk) => disk.close(),
        (error: unknown) => expect(error).toHaveProperty('message', 'mine'),
      );
      await delay(ms);
      controller.abort(new Error('mine'));
      await outcome;
    }
  });
});
