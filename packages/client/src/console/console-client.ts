import type { ConsoleDriver, ConsoleEvent, ConsolePort, ConsoleSize } from '@virtio-platform/device-console';
import type { ConsolePortInfo } from '../device/client-events.ts';
import { closedError } from '../client-error.ts';
import type { ConsolePortStream } from './console-port-stream.ts';
import { ConsoleWork } from './console-work.ts';
import { DeviceClient } from '../device/device-client.ts';
import { OpenedDevice } from '../device/open-device.ts';
import { checkCount } from '../device/check-arguments.ts';
import type { OpenOptions, ProfileLike, RequestOptions } from '../device/open-options.ts';
import { streamRequests } from '../link/stream-requests.ts';

/** How a console is opened. */
export interface ConsoleOptions extends OpenOptions {
  /** Buffers of each port that the device has at once, each way. 8 unless given. */
  readonly depth?: number | undefined;
  /** Bytes of each buffer. 4096 unless given. */
  readonly bufferBytes?: number | undefined;
  /** Bytes that the stream of a port buffers each way before the other side waits. 16 KiB unless given. */
  readonly highWaterMark?: number | undefined;
}

const WORKLOAD = { kind: 'mixed', requests: 1, depth: 1, blockSize: '64B' } as const;
const DEPTH = 8;
const BUFFER_BYTES = 4096;

/**
 * A console, as {@link openConsole} opens it: ports that the device announces and removes, each a stream of bytes.
 */
export class ConsoleClient extends DeviceClient {
  readonly #driver: ConsoleDriver;
  readonly #work: ConsoleWork;
  /** Looks for its port whenever something changed. */
  readonly #seekers = new Set<() => void>();

  /** Made by {@link openConsole}. */
  constructor(device: OpenedDevice, driver: ConsoleDriver, options: ConsoleOptions) {
    super(
      'console',
      device,
      streamRequests(() => this.#work.streams),
    );
    const { bufferBytes = BUFFER_BYTES, highWaterMark } = options;
    const streams = { messageBytes: bufferBytes, highWaterMark, wake: () => device.pump.wake() };
    this.#driver = driver;
    this.#work = new ConsoleWork(driver, streams, (event) => this.#hear(event));
    this.once('close', () => this.#seek());
    this.start(this.#work);
  }

  /** The ports that the device announced and did not remove. */
  get ports(): readonly ConsolePortInfo[] {
    return this.#driver.ports.map((port) => infoOf(port));
  }

  /** Characters of port 0; `undefined` where the device does not say. */
  get size(): ConsoleSize | undefined {
    return this.#driver.size;
  }

  /**
   * Waits until the device has the port with a number or a name, and opens it. Two calls for the same port return the
   * same stream, as long as it is open. Rejects with the reason of `options.signal`, and with `ERR_CLIENT_CLOSED`.
   */
  async port(which: number | string, options: RequestOptions = {}): Promise<ConsolePortStream> {
    const { signal } = options;
    signal?.throwIfAborted();
    return await new Promise((resolve, reject) => {
      const end = (): void => {
        this.#seekers.delete(seek);
        signal?.removeEventListener('abort', abort);
      };
      const abort = (): void => {
        end();
        reject(signal?.reason);
      };
      const seek = (): void => {
        const found = this.isClosed ? undefined : this.#find(which);
        if (found === undefined && !this.isClosed) return;
        end();
        if (found === undefined) reject(closedError('console'));
        else resolve(this.#work.open(found));
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#seekers.add(seek);
      seek();
    });
  }

  /** Writes characters of Latin-1 past the queues, as in an emergency; false where the device has no such register. */
  writeEmergency(text: string): boolean {
    for (const byte of Buffer.from(text, 'latin1')) if (!this.#driver.writeEmergency(byte)) return false;
    return true;
  }

  #find(which: number | string): ConsolePort | undefined {
    return this.#driver.ports.find(({ id, name }) => (typeof which === 'number' ? id === which : name === which));
  }

  #hear(event: ConsoleEvent): void {
    this.#seek();
    if (event.kind !== 'failed') this.emit('port', event.kind, infoOf(event.port));
  }

  #seek(): void {
    for (const seek of this.#seekers) seek();
  }
}

/**
 * Opens the console of a profile. Rejects with a coded error; then nothing stays. It keeps the process alive until it
 * is closed, as a socket does.
 */
export async function openConsole(profile: ProfileLike, options: ConsoleOptions = {}): Promise<ConsoleClient> {
  const { depth = DEPTH, bufferBytes = BUFFER_BYTES } = options;
  checkCount('depth', depth);
  checkCount('bufferBytes', bufferBytes);
  const load = (queueSizes: readonly number[]): { depth: number; bytes: number } => {
    return { depth: Math.min(depth, ...queueSizes), bytes: bufferBytes };
  };
  const device = await OpenedDevice.open(profile, { name: 'console', id: 3, workload: WORKLOAD, load }, options);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the driver half of the type that was asked for
  return new ConsoleClient(device, device.driver as ConsoleDriver, options);
}

function infoOf({ id, name, isConsole, size, isOpenThere: isHostOpen }: ConsolePort): ConsolePortInfo {
  return { id, name, isConsole, size, isHostOpen };
}
