import { deviceDescription } from '@virtio-platform/conformance/testing';
import { VIRTIO_BLK_T_IN } from '@virtio-platform/device-block';
import console from '@virtio-platform/device-console';
import type { BootedMachine } from '@virtio-platform/core';
import { resetDevice } from '@virtio-platform/core/device';
import type { DeviceQueue } from '@virtio-platform/core/queue';
import { afterEach, describe, expect, it } from 'vitest';
import { DriverNotifications } from '../src/driver-notifications.ts';
import { startBlock, startReceiving } from './started-block.ts';
import { testMachine } from './test-machine.ts';

let machine: BootedMachine | undefined;

afterEach(async () => {
  await machine?.dispose();
  machine = undefined;
});

const ALL = (['same-thread', 'worker'] as const).flatMap((device) =>
  (['split', 'packed'] as const).flatMap((layout) => [true, false].map((eventIdx) => ({ device, layout, eventIdx }))),
);

describe.each(ALL)('notifications of a driver, $device, $layout, EVENT_IDX $eventIdx', (which) => {
  it('T2 are all counted, and none is missed by a driver that sends those that are wanted', async () => {
    machine = await testMachine({ options: { device: which.device } }).boot();
    const block = startBlock(machine, which.layout, which.eventIdx);
    let sent = 0;
    for (let i = 0; i < 20; i++) {
      if (block.publish(VIRTIO_BLK_T_IN)) {
        block.notify();
        sent++;
      }
      expect(block.collect()).toEqual([0]);
    }
    const { needed, received, missed, spurious } = machine.notifications!;
    expect([missed, spurious]).toEqual([0, 0]);
    expect(received).toBeLessThanOrEqual(sent);
    expect(needed).toBeLessThanOrEqual(received);
    expect(needed).toBeGreaterThan(which.device === 'worker' ? 0 : 19);
    resetDevice(machine.transport);
    expect(machine.notifications).toMatchObject({ missed: 0 });
  });

  it('T2 are missed where they were wanted and do not come', async () => {
    machine = await testMachine({ options: { device: which.device } }).boot();
    const block = startBlock(machine, which.layout, which.eventIdx);
    expect(block.publish(VIRTIO_BLK_T_IN)).toBe(true);
    expect(machine.transport.wait(50)).toBe('timeout');
    expect(machine.notifications).toEqual({ needed: 1, received: 0, missed: 1, spurious: 0 });
    // What is missing at the end stays missing.
    resetDevice(machine.transport);
    expect(machine.notifications).toEqual({ needed: 1, received: 0, missed: 1, spurious: 0 });
  });

  it('T2 may come without a reason: then none was needed', async () => {
    machine = await testMachine({ options: { device: which.device } }).boot();
    const block = startBlock(machine, which.layout, which.eventIdx);
    block.notify();
    for (let waits = 0; waits < 100 && machine.notifications!.received === 0; waits++) machine.transport.wait(50);
    expect(machine.notifications).toEqual({ needed: 0, received: 1, missed: 0, spurious: 0 });
  });
});

describe.each(['split', 'packed'] as const)('notifications that a device suppressed, %s', (layout) => {
  it('T2 are spurious', async () => {
    machine = await testMachine({ device: deviceDescription(console) }).boot();
    const receiving = startReceiving(machine, layout);
    // Nothing to deliver: the device suppresses notifications of its receive queue.
    expect(receiving.publish()).toBe(true);
    receiving.notify();
    expect(machine.notifications).toEqual({ needed: 1, received: 1, missed: 0, spurious: 0 });
    expect(receiving.publish()).toBe(false);
    receiving.notify();
    expect(machine.notifications).toEqual({ needed: 1, received: 2, missed: 0, spurious: 1 });
    expect(receiving.queue.outstanding).toBe(2);
  });
});

/** Queue 0 as a test of the account sees it. */
class FakeQueue {
  isAwaiting = false;
  isSuppressing = false;

  awaitsNotification(): boolean {
    return this.isAwaiting;
  }

  suppressesNotifications(): boolean {
    return this.isSuppressing;
  }
}

function asQueue(queue: FakeQueue): DeviceQueue {
  return queue as unknown as DeviceQueue;
}

describe('DriverNotifications', () => {
  it('gives a driver time to notify of one queue after the other', () => {
    const account = new DriverNotifications();
    const queue = new FakeQueue();
    queue.isAwaiting = true;
    account.serves(1, asQueue(queue));
    queue.isAwaiting = false;
    account.heard(1, asQueue(queue), true);
    expect(account.with([undefined, asQueue(queue)])).toEqual({ needed: 1, received: 1, missed: 0, spurious: 0 });
  });

  it('finds the one that did not come when the next is needed, unless it is on its way', () => {
    for (const isRung of [false, true]) {
      const account = new DriverNotifications(() => isRung);
      const queue = new FakeQueue();
      queue.isAwaiting = true;
      account.serves(0, asQueue(queue));
      account.serves(0, asQueue(queue));
      expect(account).toMatchObject({ needed: 2, missed: isRung ? 0 : 1 });
    }
  });

  it('forgets a queue that is reset alone, and asks nothing of a device that is no longer alive', () => {
    const account = new DriverNotifications();
    const queue = new FakeQueue();
    queue.isAwaiting = true;
    account.serves(0, asQueue(queue));
    account.forgets(0);
    account.heard(0, asQueue(queue), false);
    account.ends([]);
    expect(account).toMatchObject({ needed: 1, received: 1, missed: 0, spurious: 0 });
  });
});
