import { describe, expect, it } from 'vitest';
import { EventFd, PollEvents, PollSet } from '../src/index.ts';

describe('EventFd', () => {
  it('is drained once for any number of signals', () => {
    const event = new EventFd();
    expect(event.drain()).toBe(false);
    event.signal();
    event.signal();
    expect(event.drain()).toBe(true);
    expect(event.drain()).toBe(false);
    event.dispose();
  });

  it('throws after dispose', () => {
    const event = new EventFd();
    event.dispose();
    event.dispose();
    expect(() => event.descriptor).toThrow(TypeError);
    expect(() => event.signal()).toThrow(/EBADF/);
    expect(() => event.drain()).toThrow(TypeError);
  });
});

describe('PollSet', () => {
  it('reports which of several descriptors is ready', () => {
    const quiet = new EventFd();
    const signalled = new EventFd();
    const poll = new PollSet(2);
    poll.set(0, quiet.descriptor, PollEvents.Readable);
    poll.set(1, signalled.descriptor, PollEvents.Readable);
    expect(poll.wait(0)).toBe(false);
    signalled.signal();
    expect(poll.wait(1000)).toBe(true);
    expect(poll.events(0)).toBe(0);
    expect(poll.events(1)).toBe(PollEvents.Readable);
    for (const owned of [quiet, signalled, poll]) owned.dispose();
  });

  it('waits for the timeout and returns then', () => {
    const quiet = new EventFd();
    const poll = new PollSet(1);
    poll.set(0, quiet.descriptor, PollEvents.Readable);
    const start = performance.now();
    expect(poll.wait(30)).toBe(false);
    const took = performance.now() - start;
    expect(took).toBeGreaterThanOrEqual(29);
    expect(took).toBeLessThan(2000);
    quiet.dispose();
    poll.dispose();
  });

  it('ignores entries that are not set', () => {
    const poll = new PollSet(3);
    expect(poll.wait(1)).toBe(false);
    poll.dispose();
  });
});
