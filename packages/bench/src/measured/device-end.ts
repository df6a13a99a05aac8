import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { DescriptorChain, openDeviceQueue, type DeviceQueue } from '@virtio-platform/core/queue';
import { watchDevice, type Recorder } from '@virtio-platform/trace';
import { PackedDriverPeer } from '../peers/packed-driver-peer.ts';
import { SplitDriverPeer } from '../peers/split-driver-peer.ts';
import type { Measured, RingPeer } from './measured.ts';
import type { RingEndTask } from './measure-task.ts';
import { requestSegments } from './request-segments.ts';
import { QUEUE_SIZE } from './ring-shape.ts';

/** A measured device's end: pops each buffer, checked and copied, and returns it as written completely. */
export class DeviceEnd implements Measured {
  readonly perRound: number;
  readonly peer: RingPeer;
  readonly #device: DeviceQueue;
  readonly #chain = new DescriptorChain(QUEUE_SIZE);

  constructor({ layout, descriptors, batch }: RingEndTask, recorder?: Recorder) {
    this.perRound = batch;
    const memory = new GuestMemory(new SharedArrayBuffer(64 * PAGE_SIZE));
    const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
    const segments = requestSegments(memory.allocate(PAGE_SIZE), descriptors);
    const peer =
      layout === 'split' ? new SplitDriverPeer(memory, segments, batch) : new PackedDriverPeer(memory, segments, batch);
    this.peer = peer;
    const queue = openDeviceQueue(layout, space, {
      addresses: peer.addresses,
      eventIdx: true,
      indirect: false,
      byteOrder: 'little',
    });
    this.#device = recorder === undefined ? queue : watchDevice(recorder, { isPaired: true }).queue(queue, 0);
  }

  round(): void {
    this.peer.turn();
    let done = 0;
    for (; this.#device.pop(this.#chain); done++) this.#device.push(this.#chain.head, this.#chain.writableBytes);
    this.#device.flush();
    if (done === this.perRound) return;
    const detail = this.#device.broken?.detail ?? 'none is left';
    throw new RangeError(`${done} of ${this.perRound} requests arrived: ${detail}`);
  }
}
