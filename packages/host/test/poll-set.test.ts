import { describe, expect, it } from 'vitest';
import { KickPipe, PollEvents, PollSet } from '../src/index.ts';

describe('PollSet', () => {
  it('reports which of several descriptors is ready', () => {
    const quiet = new KickPipe();
    const signalled = new KickPipe();
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
    const quiet = new KickPipe();
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
