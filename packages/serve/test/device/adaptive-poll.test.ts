import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AdaptivePoll } from '../../src/device/adaptive-poll.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A notification comes `ms` after the device gave up, and is served. */
function wait(poll: AdaptivePoll, ms: number): number {
  vi.advanceTimersByTime(ms);
  poll.notified();
  if (poll.begin()) {
    vi.advanceTimersByTime(1000);
    expect(poll.isOver()).toBe(true);
  }
  return poll.microseconds;
}

describe('adaptive polling', () => {
  it('is off unless it is asked for', () => {
    const poll = new AdaptivePoll(0);
    expect([wait(poll, 0), wait(poll, 1), poll.begin()]).toEqual([0, 0, false]);
  });

  it('polls longer where notifications come soon, up to what was asked for, and less where none come', () => {
    const poll = new AdaptivePoll(2000);
    poll.begin();
    expect(Array.from({ length: 9 }, () => wait(poll, 2))).toEqual([16, 32, 64, 128, 256, 512, 1024, 2000, 2000]);
    expect(Array.from({ length: 8 }, () => wait(poll, 3))).toEqual([1000, 500, 250, 125, 62.5, 31.25, 0, 0]);
  });

  it('stays as it is where polling would have seen the notification', () => {
    const poll = new AdaptivePoll(2000);
    for (let i = 0; i < 8; i++) wait(poll, 2);
    expect(wait(poll, 1)).toBe(2000);
  });

  it('goes on until so much time has passed', () => {
    const poll = new AdaptivePoll(2000);
    for (let i = 0; i < 8; i++) wait(poll, 2);
    expect(poll.begin()).toBe(true);
    vi.advanceTimersByTime(1);
    expect(poll.isOver()).toBe(false);
    vi.advanceTimersByTime(1);
    expect(poll.isOver()).toBe(true);
  });
});
