import type { ConsolePort, ConsoleSize } from '@virtio-platform/device-console';
import { LinkStream, type LinkStreamOptions } from '../link/link-stream.ts';

/**
 * A port of a console as a stream of bytes. The other side may close it and open it again, which `hostClosed` and
 * `hostOpened` tell of; what is written meanwhile waits. The stream ends when the device removes the port. `resized`
 * tells of another size. Destroying it closes the driver's side.
 */
export class ConsolePortStream extends LinkStream {
  readonly #port: ConsolePort;

  /** Opens the driver's side of the port. */
  constructor(port: ConsolePort, options: LinkStreamOptions) {
    super(port, options);
    this.#port = port;
    port.open();
  }

  /** The number of the port. */
  get id(): number {
    return this.#port.id;
  }

  /** What the device calls it; empty where it says nothing. Not to be trusted: any text. */
  get name(): string {
    return this.#port.name;
  }

  /** Whether it is a console, such as a shell runs on. */
  get isConsole(): boolean {
    return this.#port.isConsole;
  }

  /** Of a console: characters, where the device said so. */
  get size(): ConsoleSize | undefined {
    return this.#port.size;
  }

  /** Whether the other side has the port open. */
  get isHostOpen(): boolean {
    return this.#port.isOpenThere;
  }

  protected override release(): void {
    this.#port.close();
  }
}
