import 'reflect-metadata';
import { parentPort, workerData } from 'node:worker_threads';
import { DirectDmaMapping, DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { openVirtqueue, ScatterList, UsedBatch } from '@virtio-platform/core/queue';
import { BoundedSpin } from './bounded-spin.ts';
import { measureRounds } from '../measured/measure-rounds.ts';
import { DEPTH, driverRing, listRequest, QUEUE_SIZE, SEGMENTS } from '../measured/ring-shape.ts';
import type { DriverThreadMessage, ThreadData } from './two-threads.ts';

const { layout, descriptors, memory: buffer, stop, requests, samples }: ThreadData = workerData;
const memory = new GuestMemory(buffer);
const mapping = new DirectDmaMapping(memory, { path: 'identity', capacity: QUEUE_SIZE });
const list = new ScatterList(SEGMENTS);
const region = mapping.premap(memory.allocate(PAGE_SIZE), PAGE_SIZE, DmaDirection.Bidirectional);
const queue = openVirtqueue(layout, memory, mapping, driverRing());
const batch = new UsedBatch(DEPTH);
const spin = new BoundedSpin('used buffers');
/** Requests that came back beyond those of the rounds so far. */
let ahead = 0;

/** Goes on until another {@link DEPTH} requests came back, and keeps as many in flight. */
function round(): void {
  while (ahead < DEPTH) {
    const missing = DEPTH - queue.outstanding;
    for (let i = 0; i < missing; i++) {
      listRequest(list, region, descriptors);
      if (queue.add(list) < 0) throw new RangeError('the queue is full');
    }
    queue.publish();
    const taken = queue.takeUsed(batch);
    if (taken > 0) spin.reset();
    else if (queue.broken === undefined) spin.look();
    else throw new RangeError(queue.broken.detail);
    ahead += taken;
  }
  ahead -= DEPTH;
}

queue.disableNotifications();
say({ addresses: queue.addresses });
const measured = await measureRounds({ perRound: DEPTH, round }, requests, samples);
Atomics.store(stop, 0, 1);
say({ measured });

function say(message: DriverThreadMessage): void {
  parentPort!.postMessage(message);
}
