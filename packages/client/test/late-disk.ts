import { KEPT, type DeviceEvents, type DeviceModel, type DeviceQueues } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import block, { type BlockSettings } from '@virtio-platform/device-block';

/** What the disk does with a request, by its setting `serial`. */
type Behaviour = 'late' | 'hold' | 'fail' | 'crash' | '';

/**
 * A disk that answers as the serial says: `late` after a random time, `hold` only once eight requests wait, `fail` each
 * third with an error, `crash` throws at the twentieth.
 */
class LateDisk implements DeviceModel {
  readonly features;
  readonly queueSizes;
  readonly config;
  readonly usesEventLoop = true;
  readonly #disk: DeviceModel;
  readonly #behaviour: Behaviour;
  readonly #held: (() => void)[] = [];
  #events: DeviceEvents | undefined;
  #requests = 0;
  #run = 0;

  constructor(disk: DeviceModel, behaviour: Behaviour) {
    this.#disk = disk;
    this.#behaviour = behaviour;
    this.features = disk.features;
    this.queueSizes = disk.queueSizes;
    this.config = disk.config;
  }

  connect(events: DeviceEvents): void {
    this.#events = events;
    this.#disk.connect?.(events);
  }

  start(...[accepted]: Parameters<DeviceModel['start']>): void {
    this.#run++;
    this.#held.length = 0;
    this.#disk.start(accepted);
  }

  forget(queue: number): void {
    this.#disk.forget(queue);
  }

  wants(): boolean {
    return true;
  }

  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number {
    const { head } = chain;
    const number = ++this.#requests;
    const written = this.#disk.process(queue, chain, space, queues);
    if (this.#behaviour === 'crash' && number === 20) throw new Error('the device half fails on purpose');
    if (this.#behaviour === 'fail' && number % 3 === 0) return this.#fail(chain, space, written);
    const run = this.#run;
    const answer = (): void => {
      // Since a reset the buffers are the driver's.
      if (run !== this.#run) return;
      queues.push(queue, head, written);
      this.#events!.queueChanged();
    };
    if (this.#behaviour === 'hold') return this.#hold(answer);
    if (this.#behaviour !== 'late' || Math.random() < 0.3) return written;
    if (Math.random() < 0.5) setImmediate(answer);
    else setTimeout(answer, Math.random() * 2);
    return KEPT;
  }

  dispose(): void {
    this.#run++;
    this.#disk.dispose();
  }

  #hold(answer: () => void): number {
    this.#held.push(answer);
    if (this.#held.length === 8) setImmediate(() => this.#held.splice(0).forEach((held) => held()));
    return KEPT;
  }

  /** The status is the last byte that the device writes. */
  #fail(chain: DescriptorChain, space: DeviceAddressSpace, written: number): number {
    const last = chain.count - 1;
    space.write(chain.low[last]! + chain.length[last]! - 1, chain.high[last]!, Uint8Array.of(1), 0, 1);
    return written;
  }
}

export default {
  ...block,
  name: 'late-disk',
  model: (settings: BlockSettings, byteOrder: Parameters<typeof block.model>[1]): DeviceModel =>
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the tests give no other
    new LateDisk(block.model({ ...settings, serial: '' }, byteOrder), settings.serial as Behaviour),
};
