import { DeviceError } from '@virtio-platform/core';
import type { EntropyDriver } from '@virtio-platform/device-entropy';
import { ClientRequest } from './requests/client-request.ts';
import { OpenedDevice } from './device/open-device.ts';
import { checkCount } from './device/check-arguments.ts';
import type { ProfileLike, RequestOptions } from './device/open-options.ts';
import { RequestClient, type RequestClientOptions } from './requests/request-client.ts';
import { DEFAULT_MAX_QUEUED, RequestWork } from './requests/request-work.ts';
import type { Virtqueue } from '@virtio-platform/core/queue';

/** How an entropy device is opened. */
export interface EntropyOptions extends RequestClientOptions {
  /** Buffers that the device has at once. 4 unless given. */
  readonly depth?: number | undefined;
  /** Bytes of each buffer. 256 unless given. */
  readonly bufferBytes?: number | undefined;
}

const WORKLOAD = { kind: 'read', requests: 1, depth: 1, blockSize: '64B' } as const;
const DEPTH = 4;
const BUFFER_BYTES = 256;

/** Random bytes for a program, put together from as many buffers as the device takes for them. */
class EntropyRequest extends ClientRequest<Buffer> {
  readonly bytes: Buffer;
  /** Bytes of it that came, and bytes that buffers with the device have room for. */
  filled = 0;
  asked = 0;

  constructor(length: number, signal: AbortSignal | undefined) {
    super(signal);
    this.bytes = Buffer.alloc(length);
  }

  protected override result(): Buffer {
    return this.bytes;
  }
}

/** The requests of an entropy device. It fills buffers in any order, and as far as it likes. */
class EntropyWork extends RequestWork<EntropyRequest> {
  readonly #driver: EntropyDriver;
  readonly #queue: Virtqueue;
  readonly #notify: (queue: Virtqueue) => void;
  readonly #scratch: Buffer;
  /** Who asked for the buffers that the device has, in order: whichever comes back is the first one's. */
  readonly #askers: EntropyRequest[] = [];

  constructor(driver: EntropyDriver, { context }: OpenedDevice, maxQueued: number) {
    super('entropy', maxQueued);
    this.#driver = driver;
    this.#queue = context.queues[0]!.queue;
    this.#notify = context.notify;
    this.#scratch = Buffer.alloc(context.bytes);
  }

  call(request: EntropyRequest): Promise<Buffer> {
    return this.add(request);
  }

  protected override get isBusy(): boolean {
    return this.#driver.inFlight > 0;
  }

  /** Until all bytes came: a buffer that came back short is made up for by another one. */
  protected override isSubmitted(request: EntropyRequest): boolean {
    return request.filled + request.asked >= request.bytes.length;
  }

  protected override submitPart(request: EntropyRequest): number {
    const reason = this.#driver.request();
    if (reason < 0) return reason;
    request.asked += this.#scratch.length;
    this.#askers.push(request);
    return 0;
  }

  protected override publish(): void {
    if (this.#driver.publish()) this.#notify(this.#queue);
  }

  protected override collect(): number {
    let came = 0;
    for (let count = this.#driver.poll(); count > 0; count = this.#driver.poll()) {
      came += count;
      for (let i = 0; i < count; i++) this.#take(i);
    }
    return came;
  }

  #take(index: number): void {
    const length = this.#driver.read(index, this.#scratch);
    const request = this.#askers.shift()!;
    request.asked -= this.#scratch.length;
    request.filled += this.#scratch.copy(request.bytes, request.filled, 0, length);
    if (length === 0) request.fail(noByte());
    this.#scratch.fill(0);
    this.returned(request);
  }
}

/** Random bytes from a device, as {@link openEntropy} opens it. */
export class EntropyClient extends RequestClient<EntropyRequest> {
  readonly #work: EntropyWork;

  /** Made by {@link openEntropy}. */
  constructor(device: OpenedDevice, maxQueued: number) {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the driver half of the type that was asked for
    const work = new EntropyWork(device.driver as EntropyDriver, device, maxQueued);
    super('entropy', device, work);
    this.#work = work;
  }

  /** Reads `length` random bytes: as random as the device is. */
  async read(length: number, options: RequestOptions = {}): Promise<Buffer> {
    if (length === 0) return Buffer.alloc(0);
    checkCount('length', length);
    return await this.#work.call(new EntropyRequest(length, options.signal));
  }
}

/**
 * Opens the entropy device of a profile. Rejects with a coded error; then nothing stays. It keeps the process alive
 * until it is closed, as a socket does.
 */
export async function openEntropy(profile: ProfileLike, options: EntropyOptions = {}): Promise<EntropyClient> {
  const { depth = DEPTH, bufferBytes = BUFFER_BYTES, maxQueued = DEFAULT_MAX_QUEUED } = options;
  checkCount('depth', depth);
  checkCount('bufferBytes', bufferBytes);
  checkCount('maxQueued', maxQueued);
  const load = (queueSizes: readonly number[]): { depth: number; bytes: number } => {
    return { depth: Math.min(depth, ...queueSizes), bytes: bufferBytes };
  };
  const device = await OpenedDevice.open(profile, { name: 'entropy', id: 4, workload: WORKLOAD, load }, options);
  return new EntropyClient(device, maxQueued);
}

function noByte(): DeviceError {
  return new DeviceError(
    'ERR_DEVICE_REQUEST',
    'the device returned a buffer without a random byte (virtio 1.4 §5.4.6.2)',
    {
      hint: 'the device has to place at least one byte in each buffer that it uses',
    },
  );
}
