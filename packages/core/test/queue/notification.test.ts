import { needsNotification } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';

/** The rule of section 2.7.7.2 word by word: some index written since has the value that was asked for. */
function writesEvent(event: number, current: number, previous: number): boolean {
  for (let idx = previous; idx !== current; idx = (idx + 1) & 0xffff) if (idx === event) return true;
  return false;
}

describe('needsNotification, for a split ring', () => {
  it('asks exactly when the event index was passed, for all small indices', () => {
    for (let previous = 0; previous < 24; previous++) {
      for (let current = previous; current < previous + 24; current++) {
        for (let event = 0; event < 64; event++) {
          expect(needsNotification(event, current, previous)).toBe(writesEvent(event, current, previous));
        }
      }
    }
  });

  it('D24 V34 asks exactly then across the wrap at 65535, for batches too', () => {
    for (let start = 65536 - 20; start < 65536 + 4; start++) {
      for (let batch = 0; batch < 24; batch++) {
        const [previous, current] = [start & 0xffff, (start + batch) & 0xffff];
        for (let near = 65536 - 40; near < 65536 + 40; near++) {
          const event = near & 0xffff;
          expect(needsNotification(event, current, previous)).toBe(writesEvent(event, current, previous));
        }
      }
    }
  });

  it('D25 does not take a full queue of buffers for none', () => {
    expect(needsNotification(0, 32768, 0)).toBe(true);
    expect(needsNotification(0, 65535, 0)).toBe(true);
    expect(needsNotification(5, 7, 7)).toBe(false);
  });
});
