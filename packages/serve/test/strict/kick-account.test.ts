import { describe, expect, it } from 'vitest';
import { KickAccount } from '../../src/strict/kick-account.ts';

/** What a front-end may send on its own. */
const OF_FRONT_END = 4;

/** A device that looks at its ring again and again, as it does for each notification. */
class Looking {
  readonly scan = { availableIndex: 0xfffe };
  readonly account: KickAccount;

  constructor(eventIdx: boolean) {
    this.account = new KickAccount(this.scan, eventIdx, this.scan.availableIndex);
  }

  publish(count: number): void {
    this.scan.availableIndex = (this.scan.availableIndex + count) & 0xffff;
  }

  /** The device wakes, takes what is there, and sleeps again. */
  look(): void {
    this.account.closed();
    this.account.opens();
  }
}

describe.each([false, true])('notifications of a driver, with EVENT_IDX %s', (eventIdx) => {
  it('are needless without new buffers, also where the device wakes for each', () => {
    const device = new Looking(eventIdx);
    let needless = 0;
    for (let i = 0; i < 20; i++) {
      needless += device.account.received(1);
      device.look();
    }
    expect(needless).toBe(20 - OF_FRONT_END - 1);
  });

  it('are wanted once for each look with new buffers', () => {
    const device = new Looking(eventIdx);
    for (let i = 0; i < 40; i++) {
      device.publish(1 + (i % 3));
      expect(device.account.received(1)).toBe(0);
      device.look();
    }
  });

  it('may come late: of a buffer that was taken before the device asked', () => {
    const device = new Looking(eventIdx);
    device.account.received(OF_FRONT_END);
    for (let i = 0; i < 40; i++) {
      device.account.closed();
      device.publish(1);
      device.account.opens();
      expect(device.account.received(1)).toBe(0);
    }
    expect(device.account.received(5)).toBeGreaterThan(2);
  });
});
