import 'reflect-metadata';
import { parentPort, workerData } from 'node:worker_threads';
import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { DescriptorChain, openDeviceQueue } from '@virtio-platform/core/queue';
import { BoundedSpin } from './bounded-spin.ts';
import { measureHeapSamples, warmUpRequests } from '../measured/measure-rounds.ts';
import { QUEUE_SIZE } from '../measured/ring-shape.ts';
import type { DeviceThreadData, DeviceThreadMessage } from './two-threads.ts';

const { layout, memory, addresses, stop, requests }: DeviceThreadData = workerData;
const space = PHYSICAL_ADDRESS_SPACE.open(new GuestMemory(memory), new FaultLog(), undefined);
const device = openDeviceQueue(layout, space, { addresses, eventIdx: true, indirect: false, byteOrder: 'little' });
const chain = new DescriptorChain(QUEUE_SIZE);
const spin = new BoundedSpin('available buffers');

/** Returns everything that arrives until so many requests did, or the driver's thread says that it has measured. */
function serve(most: number): void {
  for (let done = 0; done < most && Atomics.load(stop, 0) === 0;) {
    const before = done;
    for (; device.pop(chain); done++) device.push(chain.head, chain.writableBytes);
    if (done > before) {
      device.flush();
      spin.reset();
    } else if (device.broken === undefined) spin.look();
    else throw new RangeError(device.broken.detail);
  }
}

device.disableNotifications();
serve(warmUpRequests(requests));
const growth = await measureHeapSamples(() => serve(requests));
serve(Infinity);
const message: DeviceThreadMessage = {
  bytesPerRequest: growth.bytes / requests,
  collections: growth.collections,
};
parentPort!.postMessage(message);
