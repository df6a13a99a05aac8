import { closeSync, openSync, readSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { closeDescriptor, EventFd, PeerStream, UnixSocket } from '../src/index.ts';
import { libc } from '../src/libc.ts';
import { openPipe } from '../src/open-pipe.ts';

const MESSAGE = Uint8Array.of(1, 2, 3, 4, 5);

/** Another descriptor of the same file, as a message brings it. */
function received(descriptor: number): number {
  const F_DUPFD_CLOEXEC = 1030;
  return libc().fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
}

describe('PeerStream', () => {
  it('writes to a socket, until it is full or its other end is closed', () => {
    const [here, there] = UnixSocket.pair();
    const stream = new PeerStream(received(there.descriptor));
    expect(stream.send(MESSAGE, 0)).toBe('done');
    const target = new Uint8Array(MESSAGE.length);
    expect(here.receive(target, 0)).toBe('done');
    expect(target).toEqual(MESSAGE);
    let result = stream.send(MESSAGE, 0);
    for (let i = 0; i < 100_000 && result === 'done'; i++) result = stream.send(MESSAGE, 0);
    expect(result).toBe('timeout');
    here.dispose();
    there.dispose();
    expect(stream.send(MESSAGE, 0)).toBe('closed');
    stream.dispose();
  });

  it('writes to a pipe, until it is full or its other end is closed', () => {
    const { readEnd, writeEnd } = openPipe('try it', true);
    const stream = new PeerStream(writeEnd);
    expect(stream.send(MESSAGE, 0)).toBe('done');
    const target = new Uint8Array(MESSAGE.length);
    expect(readSync(readEnd, target)).toBe(MESSAGE.length);
    expect(target).toEqual(MESSAGE);
    let result = stream.send(MESSAGE, 0);
    for (let i = 0; i < 100_000 && result === 'done'; i++) result = stream.send(MESSAGE, 0);
    expect(result).toBe('timeout');
    closeDescriptor(readEnd);
    expect(stream.send(MESSAGE, 0)).toBe('closed');
    stream.dispose();
  });

  it('takes nothing that is no stream, or that leads the other way, and no message that a pipe would split', () => {
    const file = openSync('/proc/self/exe', 'r');
    const { readEnd, writeEnd } = openPipe('try it');
    const counter = new EventFd();
    expect(() => new PeerStream(received(file))).toThrow(/no socket and no pipe/);
    expect(() => new PeerStream(received(counter.descriptor))).toThrow(/no socket and no pipe/);
    expect(() => new PeerStream(readEnd)).toThrow(/the wrong end of a pipe/);
    const stream = new PeerStream(writeEnd);
    expect(() => stream.send(new Uint8Array(4097), 0)).toThrow(RangeError);
    stream.dispose();
    counter.dispose();
    closeSync(file);
  });
});
