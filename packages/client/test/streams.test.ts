import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { openConsole, openEntropy, openNet } from '../src/index.ts';

const NET = { device: { type: 'net', mac: '52:54:00:00:00:07' } } as const;

/** A frame of `length` bytes with a number in it. */
function frameOf(number: number, length: number): Buffer {
  const frame = Buffer.alloc(length, number & 0xff);
  frame.write('52540000000752540000000888b5', 'hex');
  frame.writeUInt32BE(number, 14);
  return frame;
}

/** Collects `bytes` bytes of a stream. */
async function collect(stream: Readable, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let length = 0; length < bytes;) {
    const chunk: Buffer | null = stream.read();
    if (chunk === null) await once(stream, 'readable');
    else length += chunks[chunks.push(chunk) - 1]!.length;
  }
  return Buffer.concat(chunks);
}

describe.each(['same-thread', 'worker'] as const)('a network of the embedded machine, device in the %s', (device) => {
  const machine = { use: '@virtio-platform/machine-simulated', memory: '16MiB', device } as const;

  it('is a stream of whole frames, in order, with backpressure both ways', async () => {
    await using net = await openNet({ ...NET, machine }, { depth: 8, highWaterMark: 4 });
    expect([net.mac, net.isLinkUp, net.pairs.length]).toEqual(['52:54:00:00:00:07', true, 1]);
    const count = 2000;
    const seen: number[] = [];
    const read = (async () => {
      for await (const frame of net.frames as AsyncIterable<Buffer>) {
        expect(frame.equals(frameOf(seen.length, frame.length)), `frame ${seen.length}`).toBe(true);
        if (seen.push(frame.length) === count) break;
        // A slow reader now and then: what comes meanwhile waits.
        if (seen.length % 500 === 0) await delay(5);
      }
    })();
    for (let i = 0; i < count; i++) {
      if (!net.frames.write(frameOf(i, 60 + ((i * 37) % 1455)))) await once(net.frames, 'drain');
    }
    await read;
    expect(seen).toEqual(Array.from({ length: count }, (_, i) => 60 + ((i * 37) % 1455)));
    expect(net.statistics.rescued).toBe(0);
  });
});

describe('a network', () => {
  it('has a stream for each pair of queues', async () => {
    await using net = await openNet({ device: { ...NET.device, queuePairs: 3 } });
    expect(net.pairs).toHaveLength(3);
    for (const [i, frames] of net.pairs.entries()) {
      frames.write(frameOf(i, 100 + i));
      const [frame] = await once(frames, 'data');
      expect(frame).toEqual(frameOf(i, 100 + i));
    }
  });

  it('takes the frames that the MTU of the device allows', async () => {
    await using network = await openNet({ device: { type: 'net', mtu: 9000 } });
    const frame = Buffer.alloc(9014, 5);
    network.frames.write(frame);
    const [came] = (await once(network.frames, 'data')) as [Buffer];
    expect(came.equals(frame)).toBe(true);
  });

  it('refuses what is no frame, and the stream is then destroyed', async () => {
    await using net = await openNet(NET, { frameBytes: 100 });
    const failed = once(net.frames, 'error');
    net.frames.write(Buffer.alloc(101));
    expect((await failed)[0]).toBeInstanceOf(RangeError);
    expect(net.frames.destroyed).toBe(true);
  });

  it('ends its streams when it is closed', async () => {
    const net = await openNet(NET);
    const closed = once(net.frames, 'close');
    net.frames.write(frameOf(1, 60));
    await net.close();
    await closed;
    await net.close();
    expect([net.frames.destroyed, net.isClosed]).toEqual([true, true]);
  });

  it('without a reader keeps the processor idle', async () => {
    await using net = await openNet(NET, { depth: 4, highWaterMark: 1 });
    for (let i = 0; i < 20; i++) net.frames.write(frameOf(i, 60));
    await delay(50);
    const before = process.cpuUsage();
    await delay(300);
    const { user, system } = process.cpuUsage(before);
    expect(user + system).toBeLessThan(150_000);
  });
});

describe('a console', () => {
  const machine = { use: '@virtio-platform/machine-simulated', memory: '8MiB' } as const;

  it('has ports that are streams of bytes, found by number and by name', async () => {
    const ports = [{ id: 0 }, { id: 2, name: 'org.example.agent' }];
    await using console = await openConsole({ machine, device: { type: 'console', ports } });
    const agent = await console.port('org.example.agent');
    expect([agent.id, agent.name, agent.isConsole]).toEqual([2, 'org.example.agent', false]);
    expect(await console.port(2)).toBe(agent);
    expect(console.ports.map(({ id }) => id)).toEqual([0, 2]);
    const long = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) & 0xff));
    const [echo] = await Promise.all([
      collect(agent, long.length),
      pipeline(Readable.from([long]), agent, { end: false }),
    ]);
    expect(echo.equals(long)).toBe(true);
    const first = await console.port(0);
    first.write('text, too');
    expect(String(await collect(first, 9))).toBe('text, too');
  });

  it('without MULTIPORT has port 0', async () => {
    const offers = ['VERSION_1'];
    await using console = await openConsole({ machine, device: { type: 'console', offers } });
    const port = await console.port(0);
    port.write('hello');
    expect(String(await collect(port, 5))).toBe('hello');
  });

  it('tells of ports that come and go, of the other side, and of sizes', async () => {
    const changes = [
      { after: 1, add: { id: 1, name: 'late' } },
      { after: 2, resize: { columns: 100, rows: 40 } },
      { after: 3, close: 1 },
      { after: 4, open: 1 },
      { after: 5, remove: 1 },
    ];
    await using console = await openConsole({ machine, device: { type: 'console', ports: 1, changes } });
    const kinds: string[] = [];
    console.on('port', (kind, { id }) => kinds.push(`${kind} ${id}`));
    const waiting = console.port('late');
    const first = await console.port(0);
    const say = async (): Promise<void> => {
      first.write('x');
      await collect(first, 1);
    };
    await say();
    const late = await waiting;
    const heard: string[] = [];
    for (const name of ['hostClosed', 'hostOpened', 'end', 'close']) late.on(name, () => heard.push(name));
    const gone = once(late, 'close');
    late.resume();
    first.on('resized', ({ columns, rows }) => heard.push(`${columns}x${rows}`));
    await say();
    await say();
    expect(late.isHostOpen).toBe(false);
    await say();
    expect(late.isHostOpen).toBe(true);
    await say();
    await gone;
    expect(heard).toEqual(['100x40', 'hostClosed', 'hostOpened', 'end', 'close']);
    expect(kinds).toContain('removed 1');
    expect(console.ports.map(({ id }) => id)).toEqual([0]);
  });

  it('waits for a port until it is closed, or the wait is aborted', async () => {
    const console = await openConsole({ machine, device: { type: 'console' } });
    const never = console.port('never').catch((error: unknown) => error);
    await expect(console.port(9, { signal: AbortSignal.timeout(5) })).rejects.toThrow(/timeout/);
    await console.close();
    expect(await never).toMatchObject({ code: 'ERR_CLIENT_CLOSED' });
    await expect(console.port(0)).rejects.toMatchObject({ code: 'ERR_CLIENT_CLOSED' });
  });
});

describe('an entropy device', () => {
  it('gives as many bytes as asked for, whatever its buffers are', async () => {
    await using entropy = await openEntropy({ device: { type: 'entropy' } }, { bufferBytes: 64, depth: 3 });
    const [long, short] = await Promise.all([entropy.read(1000), entropy.read(1)]);
    expect([long.length, short.length, (await entropy.read(0)).length]).toEqual([1000, 1, 0]);
    expect(new Set(long).size).toBeGreaterThan(100);
    await expect(entropy.read(-1)).rejects.toThrow(RangeError);
    await expect(entropy.read('1' as unknown as number)).rejects.toThrow(TypeError);
  });
});
