import { readSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { CallPipe, EventFd, LoopReader, UnixSocket } from '../src/index.ts';
import { libc } from '../src/libc.ts';

const ONE = Buffer.from(new BigUint64Array([1n]).buffer);

/** Waits until `isTrue`, for a bounded time. */
async function until(isTrue: () => boolean): Promise<void> {
  for (let waited = 0; !isTrue() && waited < 5000; waited += 5) await delay(5);
  expect(isTrue()).toBe(true);
}

describe('LoopReader', () => {
  it('reads an event counter, which Node itself does not take', async () => {
    const event = new EventFd();
    let calls = 0;
    event.watch(() => calls++);
    await delay(20);
    expect(calls).toBe(0);
    writeSync(event.descriptor, ONE);
    writeSync(event.descriptor, ONE);
    expect(calls).toBe(0);
    await until(() => calls > 0);
    expect(event.drain()).toBe(2);
    expect(event.drain()).toBe(0);
    writeSync(event.descriptor, ONE);
    // Not yet read by the loop: taken directly, and the loop finds nothing.
    expect(event.drain()).toBe(1);
    event.dispose();
    await delay(10);
    expect(event.drain.bind(event)).toThrow(TypeError);
  });

  it('tells of bytes and of the end of a socket, and leaves the socket as it is', async () => {
    const [here, there] = UnixSocket.pair();
    const seen: string[] = [];
    const received = (bytes: Uint8Array, length: number): void => {
      seen.push(Buffer.from(bytes.subarray(0, length)).toString());
    };
    const reader = new LoopReader(here.descriptor, 4, { received, ended: () => seen.push('end') });
    there.send(Buffer.from('abcdef'), [], 1000);
    await until(() => seen.length === 2);
    reader.dispose();
    there.send(Buffer.from('gh'), [], 1000);
    await delay(20);
    expect(seen).toEqual(['abcd', 'ef']);
    const rest = new Uint8Array(2);
    expect(here.receive(rest, 1000)).toBe('done');
    expect(here.send(Buffer.from('i'), [], 1000)).toBe('done');
    const again = new LoopReader(here.descriptor, 4, { received, ended: () => seen.push('end') });
    there.dispose();
    await until(() => seen.at(-1) === 'end');
    again.dispose();
    here.dispose();
  });
});

describe('CallPipe', () => {
  it('counts what another process writes as to an event counter, read by the loop or directly', async () => {
    let calls = 0;
    const pipe = new CallPipe(() => calls++);
    writeSync(pipe.descriptor, ONE);
    writeSync(pipe.descriptor, ONE);
    expect(pipe.drain()).toBe(2);
    expect(pipe.drain()).toBe(0);
    for (let i = 0; i < 100; i++) writeSync(pipe.descriptor, ONE);
    await until(() => calls > 1);
    expect(pipe.takePending()).toBe(100);
    expect(pipe.takePending()).toBe(0);
    pipe.dispose();
    pipe.dispose();
    expect(() => pipe.readEnd).toThrow(TypeError);
    expect(() => pipe.descriptor).toThrow(TypeError);
  });

  it('gives the other process no SIGPIPE when this one is gone, and no way to make a read wait', () => {
    const pipe = new CallPipe(() => {});
    const F_SETFL = 4;
    const F_DUPFD_CLOEXEC = 1030;
    const theirs = libc().fcntl(pipe.descriptor, F_DUPFD_CLOEXEC, 0);
    expect(libc().fcntl(theirs, F_SETFL, 0)).toBe(0);
    pipe.closeWriteEnd();
    expect(pipe.drain()).toBe(0);
    pipe.dispose();
    expect(writeSync(theirs, ONE)).toBe(8);
    expect(readSync(theirs, Buffer.alloc(16))).toBe(8);
    libc().close(theirs);
  });
});
