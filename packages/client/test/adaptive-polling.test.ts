import { describe, expect, it } from 'vitest';
import { AdaptivePolling } from '../src/device/adaptive-polling.ts';

/** Waits one after the other, each of so many milliseconds after a window in vain. Returns the window after each. */
function windowsAfter(polling: AdaptivePolling, waits: readonly number[]): number[] {
  let now = 1000;
  return waits.map((wait) => {
    if (polling.windowAt(now) > 0) polling.missed();
    polling.waits(now);
    now += wait;
    polling.ended(now);
    return polling.windowAt(now);
  });
}

describe('AdaptivePolling', () => {
  it('looks for nothing before the first wait', () => {
    expect(new AdaptivePolling().windowAt(0)).toBe(0);
  });

  it('doubles the window after each short wait, up to 50 microseconds', () => {
    expect(windowsAfter(new AdaptivePolling(), [0.1, 0.1, 0.19, 0.02, 0.1])).toEqual([0.01, 0.02, 0.04, 0.05, 0.05]);
  });

  it('looks no more after a long wait, and begins again after a short one', () => {
    expect(windowsAfter(new AdaptivePolling(), [0.1, 0.1, 5, 0.1])).toEqual([0.01, 0.02, 0, 0.01]);
  });

  it('stops to look where nothing came in eight windows, for 256 waits, and then for twice as many', () => {
    const polling = new AdaptivePolling();
    const windows = windowsAfter(polling, Array<number>(9 + 256 + 8 + 512).fill(0.1));
    const looked = windows.map((window) => window > 0);
    expect(looked.indexOf(false)).toBe(8);
    expect(looked.indexOf(true, 8)).toBe(8 + 256);
    expect(looked.indexOf(false, 8 + 256)).toBe(8 + 256 + 8);
    expect(looked.indexOf(true, 8 + 256 + 8)).toBe(8 + 256 + 8 + 512);
  });

  it('stops to look while what it waits for never comes', () => {
    const polling = new AdaptivePolling();
    windowsAfter(polling, [0.1]);
    polling.waits(2000);
    for (let i = 0; i < 8; i++) {
      expect(polling.windowAt(2000)).toBe(0.01);
      polling.missed();
    }
    expect(polling.windowAt(2000)).toBe(0);
  });

  it('looks for nothing where the wait that goes on is long already', () => {
    const polling = new AdaptivePolling();
    windowsAfter(polling, [0.1]);
    polling.waits(2000);
    expect([polling.windowAt(2000.1), polling.windowAt(2000.3)]).toEqual([0.01, 0]);
  });

  it('goes on to look where something comes in time now and then', () => {
    const polling = new AdaptivePolling();
    for (let i = 0; i < 1000; i++) {
      windowsAfter(polling, Array<number>(7).fill(0.1));
      polling.came();
    }
    expect(polling.windowAt(0)).toBe(0.05);
  });

  it('counts a wait from its beginning, and an end without a wait not at all', () => {
    const polling = new AdaptivePolling();
    polling.waits(0);
    polling.waits(5);
    polling.ended(5.1);
    expect(polling.windowAt(5.1)).toBe(0);
    polling.ended(5.2);
    expect(polling.windowAt(5.2)).toBe(0);
  });
});
