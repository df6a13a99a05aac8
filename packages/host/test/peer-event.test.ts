import { closeSync, openSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import {
  EventFd,
  inspectDescriptor,
  KickPipe,
  MemoryFile,
  PeerEvent,
  sealAgainstShrinking,
  UnixSocket,
} from '../src/index.ts';
import { libc } from '../src/libc.ts';

/** Another descriptor of the same file, as a message brings it. */
function received(descriptor: number): number {
  const F_DUPFD_CLOEXEC = 1030;
  return libc().fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
}

describe('PeerEvent', () => {
  it('sends notifications to an event counter, as many as there are', () => {
    const counter = new EventFd();
    const event = new PeerEvent(received(counter.descriptor), 'sends');
    expect([event.signal(), event.signal(), counter.drain()]).toEqual([true, true, 2]);
    event.dispose();
    counter.dispose();
  });

  it('hears of notifications in the event loop', async () => {
    const kick = new KickPipe();
    const event = new PeerEvent(received(kick.descriptor), 'receives');
    const heard: number[] = [];
    event.watch(() => heard.push(1));
    kick.signal();
    for (let tries = 0; tries < 500 && heard.length === 0; tries++) await setTimeout(1);
    expect(heard).toEqual([1]);
    event.dispose();
    kick.dispose();
  });

  it('takes a full pipe for a notification, and tells of one that is closed', () => {
    const [here, there] = UnixSocket.pair();
    const event = new PeerEvent(received(here.descriptor), 'sends');
    for (let i = 0; i < 100_000; i++) if (!event.signal()) throw new Error('refused');
    there.dispose();
    expect(event.signal()).toBe(false);
    event.dispose();
    here.dispose();
  });

  it('is no file, and no end of a pipe that points the other way', () => {
    const file = openSync('/proc/self/exe', 'r');
    const kick = new KickPipe();
    expect(() => new PeerEvent(received(file), 'receives')).toThrow(/no event counter, pipe or socket/);
    expect(() => new PeerEvent(received(kick.descriptor), 'sends')).toThrow(/the wrong end of a pipe/);
    closeSync(file);
    kick.dispose();
  });
});

describe('a descriptor of another process', () => {
  it('is looked at before it is used', () => {
    const file = MemoryFile.create('test', 4096);
    const [here, there] = UnixSocket.pair();
    const counter = new EventFd();
    const both = { isReadable: true, isWritable: true };
    expect(inspectDescriptor(file.descriptor)).toEqual({ kind: 'file', ...both });
    expect(inspectDescriptor(here.descriptor)).toEqual({ kind: 'socket', ...both });
    expect(inspectDescriptor(counter.descriptor)).toEqual({ kind: 'eventfd', ...both });
    expect(() => inspectDescriptor(-1)).toThrow(/EBADF/);
    for (const owned of [file, here, there, counter]) owned.dispose();
  });

  it('of memory is kept from becoming shorter, where it lets itself be sealed', () => {
    const MFD_ALLOW_SEALING = 2;
    const [sealable, other] = [libc().memfd_create('test', MFD_ALLOW_SEALING), libc().memfd_create('test', 0)];
    for (const descriptor of [sealable, other]) libc().ftruncate(descriptor, 8192);
    expect([sealAgainstShrinking(sealable), sealAgainstShrinking(other)]).toEqual([true, false]);
    expect([libc().ftruncate(sealable, 4096), libc().ftruncate(other, 4096)]).toEqual([-1, 0]);
    for (const descriptor of [sealable, other]) libc().close(descriptor);
  });
});
