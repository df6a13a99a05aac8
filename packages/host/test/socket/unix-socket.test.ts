import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { closeDescriptor, EventFd, MemoryMapping, SharedMemory, UnixSocket } from '../../src/index.ts';

const directories: string[] = [];
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function socketPath(): string {
  const directory = mkdtempSync(join(tmpdir(), 'virtio-platform-test-'));
  directories.push(directory);
  return join(directory, 'socket');
}

/** A server in another process, because the socket under test blocks the event loop of this process. */
async function serve(path: string, body: string): Promise<void> {
  const program = `
    const onConnection = (socket) => { socket.on('error', () => {}); ${body} };
    require('node:net').createServer(onConnection).listen(process.argv[1], () => console.log('up'));`;
  const child = spawn(process.execPath, ['-e', program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout, 'data');
}

describe('UnixSocket', () => {
  it('transfers more bytes to and from another process than one system call', async () => {
    const path = socketPath();
    await serve(path, 'socket.pipe(socket)');
    const socket = UnixSocket.connect(path);
    const sent = Uint8Array.from({ length: 20_000 }, (_, i) => i * 7);
    expect(socket.send(sent, [], 5000)).toBe('done');
    const received = new Uint8Array(sent.length);
    expect(socket.receive(received, 5000)).toBe('done');
    expect(received).toEqual(sent);
    socket.dispose();
  });

  it('joins short reads until the target is full', async () => {
    const path = socketPath();
    await serve(
      path,
      "let i = 0; const timer = setInterval(() => { socket.write('ab'); if (++i === 4) clearInterval(timer); }, 5)",
    );
    const socket = UnixSocket.connect(path);
    const received = new Uint8Array(7);
    expect(socket.receive(received, 5000)).toBe('done');
    expect(Buffer.from(received).toString()).toBe('abababa');
    socket.dispose();
  });

  it('distinguishes a closed peer from a slow peer', async () => {
    const path = socketPath();
    await serve(path, "socket.on('data', () => socket.end('x'))");
    const socket = UnixSocket.connect(path);
    expect(socket.receive(new Uint8Array(2), 20)).toBe('timeout');
    expect(socket.send(new Uint8Array(1), [], 1000)).toBe('done');
    expect(socket.receive(new Uint8Array(2), 5000)).toBe('closed');
    socket.dispose();
  });

  it('returns closed when the peer has closed the connection', () => {
    const [here, there] = UnixSocket.pair();
    there.dispose();
    expect(here.send(new Uint8Array(1), [], 1000)).toBe('closed');
    here.dispose();
  });

  it('returns timeout when the peer does not read', () => {
    const [here, there] = UnixSocket.pair();
    expect(here.send(new Uint8Array(16 << 20), [], 30)).toBe('timeout');
    here.dispose();
    there.dispose();
  });

  it('transfers descriptors of the same memory and the same counter', () => {
    const [here, there] = UnixSocket.pair();
    const memory = SharedMemory.create(4096);
    const event = new EventFd();
    expect(here.send(Uint8Array.of(1, 2, 3), [memory.descriptor, event.descriptor], 1000)).toBe('done');
    const bytes = new Uint8Array(3);
    const descriptors: number[] = [];
    expect(there.receiveDescriptors(bytes, descriptors, 1000)).toBe('done');
    expect([...bytes]).toEqual([1, 2, 3]);
    expect(descriptors).toHaveLength(2);
    expect(descriptors).not.toContain(memory.descriptor);

    const passed = MemoryMapping.ofFile(descriptors[0]!, 4096);
    new Uint8Array(memory.buffer)[100] = 0x77;
    expect(new Uint8Array(passed.buffer)[100]).toBe(0x77);
    for (const descriptor of descriptors) closeDescriptor(descriptor);
    for (const owned of [passed, memory, event, here, there]) owned.dispose();
  });

  it('closes received descriptors that the caller does not take', () => {
    const [here, there] = UnixSocket.pair();
    const event = new EventFd();
    here.send(Uint8Array.of(1), [event.descriptor], 1000);
    const before = readdirSync('/proc/self/fd').length;
    there.receive(new Uint8Array(1), 1000);
    expect(readdirSync('/proc/self/fd')).toHaveLength(before);
    for (const owned of [event, here, there]) owned.dispose();
  });

  it('names the errno when no server listens', () => {
    const before = readdirSync('/proc/self/fd').length;
    expect(() => UnixSocket.connect(socketPath())).toThrow(
      expect.objectContaining({ code: 'ERR_SYSCALL', syscall: 'connect', errno: 'ENOENT' }),
    );
    expect(readdirSync('/proc/self/fd')).toHaveLength(before);
  });

  it('refuses a path that is too long for a Unix socket', () => {
    expect(() => UnixSocket.connect(`/tmp/${'x'.repeat(200)}`)).toThrow(
      expect.objectContaining({ errno: 'ENAMETOOLONG' }),
    );
  });

  it('throws after dispose', () => {
    const [here, there] = UnixSocket.pair();
    here.dispose();
    here.dispose();
    expect(() => here.send(new Uint8Array(1), [], 10)).toThrow(TypeError);
    expect(() => here.receive(new Uint8Array(1), 10)).toThrow(TypeError);
    there.dispose();
  });
});
