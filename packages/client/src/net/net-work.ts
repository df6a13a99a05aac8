import type { Virtqueue } from '@virtio-platform/core/queue';
import type { NetDriver } from '@virtio-platform/device-net';
import type { PumpWork } from '../device/device-pump.ts';
import { LinkStream, type LinkStreamOptions } from '../link/link-stream.ts';

/** The frames of a network device, over all of its pairs of queues. */
export class NetWork implements PumpWork {
  readonly #driver: NetDriver;
  readonly #options: LinkStreamOptions;
  #streams: readonly LinkStream[] = [];
  #connected: () => void = () => {};

  /** Resolves when the pairs are known. */
  readonly connected: Promise<void>;

  constructor(driver: NetDriver, options: LinkStreamOptions) {
    this.#driver = driver;
    this.#options = options;
    this.connected = new Promise((resolve) => {
      this.#connected = resolve;
    });
  }

  /** One for each pair, once they are known. */
  get streams(): readonly LinkStream[] {
    return this.#streams;
  }

  /** Until the pairs are known the device owes an answer. What it does with frames is its own business. */
  get awaited(): number {
    return this.#streams.length === 0 ? 1 : 0;
  }

  /** A receive queue where its frames are read, a transmit queue where a frame waits for room. */
  wants({ index }: Virtqueue): boolean {
    const stream = this.#streams[index >> 1];
    // The control queue is behind the pairs.
    if (stream === undefined) return this.#streams.length === 0;
    return (index & 1) === 0 ? stream.isReading : stream.isWriting;
  }

  round(): number {
    if (this.#streams.length === 0) return this.#connect();
    let progress = 0;
    for (const stream of this.#streams) if (!stream.destroyed) progress += stream.round();
    return progress;
  }

  #connect(): number {
    const progress = this.#driver.connect();
    if (!this.#driver.isConnected) return progress;
    this.#streams = this.#driver.links.map((link) => new LinkStream(link, this.#options));
    this.#connected();
    return progress + 1;
  }
}
