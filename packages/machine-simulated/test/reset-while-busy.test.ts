import { type DeviceModel } from '@virtio-platform/core';
import { ringFeatures, ringOptions } from '@virtio-platform/conformance/testing';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DeviceStatus } from '@virtio-platform/core/device';
import { FeatureSet } from '@virtio-platform/core/features';
import {
  openVirtqueue,
  ScatterList,
  UsedBatch,
  type DescriptorChain,
  type QueueLayout,
} from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { openSimulatedDevice } from './open-simulated-device.ts';

const BUFFER = 0x8000;

/**
 * A device half whose first buffer does something to the device itself, as one does that reaches its own registers by
 * DMA.
 */
class ReentrantModel implements DeviceModel {
  readonly features = FeatureSet.EMPTY;
  readonly queueSizes = [8];
  readonly config = new Uint8Array(0);
  handled = 0;
  onFirst: () => void = () => {};

  start(_accepted: FeatureSet): void {}

  wants(_queue: number): boolean {
    return true;
  }

  process(_queue: number, chain: DescriptorChain, space: DeviceAddressSpace): number {
    if (this.handled++ === 0) this.onFirst();
    space.write(chain.low[0]!, chain.high[0]!, Uint8Array.of(0xaa), 0, 1);
    return 1;
  }

  forget(_queue: number): void {}

  dispose(): void {}
}

function start(layout: QueueLayout) {
  const model = new ReentrantModel();
  const features = ringFeatures(layout);
  const { memory, mapping, device } = openSimulatedDevice(model, features);
  const queue = openVirtqueue(layout, memory, mapping, ringOptions());
  const { Acknowledge, Driver, FeaturesOk, DriverOk } = DeviceStatus;
  const initialize = (): void => {
    device.writeStatus(Acknowledge | Driver);
    device.writeFeatures(features);
    device.writeStatus(Acknowledge | Driver | FeaturesOk);
    device.enableQueue(0, queue.addresses);
    device.writeStatus(Acknowledge | Driver | FeaturesOk | DriverOk);
  };
  initialize();
  const list = new ScatterList(1);
  list.addWritable(BUFFER, 16);
  for (let i = 0; i < 3; i++) queue.add(list);
  queue.publish();
  return { memory, model, device, queue, initialize };
}

describe.each(['split', 'packed'] as const)(
  'a device with a %s ring that is reset while it handles a buffer',
  (layout) => {
    it('V51 returns nothing, takes no other buffer, and notifies about nothing', () => {
      const { memory, model, device, queue } = start(layout);
      const [ring] = queue.addresses.words;
      let atReset: Uint8Array | undefined;
      model.onFirst = () => {
        device.writeStatus(0);
        atReset = memory.u8.slice(ring, ring! + 0x400);
      };
      device.run();
      expect([model.handled, device.status, device.takeNotification()]).toEqual([1, 0, false]);
      expect(memory.u8.slice(ring, ring! + 0x400)).toEqual(atReset);
      expect(queue.takeUsed(new UsedBatch(8))).toBe(0);
      device.run();
      expect([model.handled, queue.reset()]).toEqual([1, [0, 1, 2]]);
    });

    it('V51 leaves the queue alone that was enabled since, but for what is available there', () => {
      const { model, device, queue, initialize } = start(layout);
      model.onFirst = () => {
        device.writeStatus(0);
        queue.reset();
        initialize();
      };
      device.run();
      expect([model.handled, queue.takeUsed(new UsedBatch(8)), queue.broken]).toEqual([1, 0, undefined]);
      const list = new ScatterList(1);
      list.addWritable(BUFFER, 16);
      const id = queue.add(list);
      queue.publish();
      device.run();
      const batch = new UsedBatch(8);
      expect([queue.takeUsed(batch), batch.ids[0], batch.written[0]]).toEqual([1, id, 1]);
      expect(device.status & DeviceStatus.NeedsReset).toBe(0);
    });
  },
);
