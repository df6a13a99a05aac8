import { describe, expect, it } from 'vitest';
import { AdaptivePolling } from '../src/device/adaptive-polling.ts';

/** Waits one after the other, each of so many milliseconds, and returns the window after each. */
function windowsAfter(polling: AdaptivePolling, waits: readonly number[]): number[] {
  let now = 1000;
  return waits.map((wait) => {
    polling.waits(now);
    now += wait;
    polling.ended(now);
    return polling.windowMs;
  });
}

describe('AdaptivePolling', () => {
  it('looks for nothing before the first wait', () => {
    expect(new AdaptivePolling().windowMs).toBe(0);
  });

  it('doubles the window after each short wait, up to 50 microseconds', () => {
    expect(windowsAfter(new AdaptivePolling(), [0.1, 0.1, 0.19, 0.02, 0.1])).toEqual([0.01, 0.02, 0.04, 0.05, 0.05]);
  });

  it('looks no more after a long wait, and begins again after a short one', () => {
    expect(windowsAfter(new AdaptivePolling(), [0.1, 0.1, 5, 0.1])).toEqual([0.01, 0.02, 0, 0.01]);
  });

  it('stops to look where nothing ever comes in time, for 256 waits', () => {
    const polling = new AdaptivePolling();
    const windows = windowsAfter(polling, Array<number>(4 + 8 + 256 + 1).fill(0.1));
    expect(windows.slice(0, 11).every((window) => window > 0)).toBe(true);
    expect(windows.slice(11, 11 + 257).every((window) => window === 0)).toBe(true);
    expect(windows.at(-1)).toBe(0.01);
  });

  it('goes on to look where something comes in time now and then', () => {
    const polling = new AdaptivePolling();
    for (let i = 0; i < 1000; i++) {
      windowsAfter(polling, Array<number>(7).fill(0.1));
      polling.came();
    }
    expect(polling.windowMs).toBe(0.05);
  });

  it('counts a wait from its beginning, and an end without a wait not at all', () => {
    const polling = new AdaptivePolling();
    polling.waits(0);
    polling.waits(5);
    polling.ended(5.1);
    expect(polling.windowMs).toBe(0);
    polling.ended(5.2);
    expect(polling.windowMs).toBe(0);
  });
});
