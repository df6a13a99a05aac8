import type { Virtqueue } from '@virtio-platform/core/queue';
import {
  CONSOLE_CONTROL_RECEIVE,
  consoleReceiveQueue,
  type ConsoleDriver,
  type ConsoleEvent,
  type ConsolePort,
} from '@virtio-platform/device-console';
import { ConsolePortStream } from './console-port-stream.ts';
import type { PumpWork } from '../device/device-pump.ts';
import type { LinkStreamOptions } from '../link/link-stream.ts';

/** The ports of a console. */
export class ConsoleWork implements PumpWork {
  readonly #driver: ConsoleDriver;
  readonly #options: LinkStreamOptions;
  readonly #hear: (event: ConsoleEvent) => void;
  readonly #streams = new Map<ConsolePort, ConsolePortStream>();

  /** `hear` is called with each event of the device. */
  constructor(driver: ConsoleDriver, options: LinkStreamOptions, hear: (event: ConsoleEvent) => void) {
    this.#driver = driver;
    this.#options = options;
    this.#hear = hear;
  }

  /** The streams of the ports that are open. */
  get streams(): readonly ConsolePortStream[] {
    return [...this.#streams.values()];
  }

  /** A device may announce ports whenever it likes. */
  get awaited(): number {
    return 0;
  }

  /** The stream of a port, which is opened where it is not open yet. */
  open(port: ConsolePort): ConsolePortStream {
    const opened = this.#streams.get(port);
    if (opened !== undefined && !opened.destroyed) return opened;
    const stream = new ConsolePortStream(port, this.#options);
    this.#streams.set(port, stream);
    stream.once('close', () => {
      if (this.#streams.get(port) === stream) this.#streams.delete(port);
    });
    this.#options.wake();
    return stream;
  }

  wants({ index }: Virtqueue): boolean {
    if (index === CONSOLE_CONTROL_RECEIVE || index === CONSOLE_CONTROL_RECEIVE + 1) return true;
    for (const [port, stream] of this.#streams) {
      if (consoleReceiveQueue(port.id) === index) return stream.isReading;
      if (consoleReceiveQueue(port.id) + 1 === index) return stream.isWriting;
    }
    return false;
  }

  round(): number {
    const events = this.#driver.poll();
    for (const event of events) this.#take(event);
    let progress = events.length;
    for (const stream of this.#streams.values()) if (!stream.destroyed) progress += stream.round();
    return progress;
  }

  #take(event: ConsoleEvent): void {
    if (event.kind !== 'failed') {
      const stream = this.#streams.get(event.port);
      if (event.kind === 'opened') stream?.emit('hostOpened');
      if (event.kind === 'closed') stream?.emit('hostClosed');
      if (event.kind === 'resized') stream?.emit('resized', event.port.size);
      if (event.kind === 'removed') {
        stream?.round();
        stream?.endReading();
      }
    }
    this.#hear(event);
  }
}
