import {
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_S_UNSUPP,
  type BlockDisk,
  type BlockDriver,
} from '@virtio-platform/device-block';
import { NO_BUFFER } from '@virtio-platform/device-kit';
import type { Virtqueue } from '@virtio-platform/core/queue';
import type { BlockRequest } from './block-request.ts';
import { RequestError } from '../client-error.ts';
import { RequestWork } from '../requests/request-work.ts';

/** One queue of a disk, with what each id of its driver is for. */
interface Lane {
  readonly driver: BlockDriver;
  /** By id: the request, and where in it the part begins. */
  readonly requests: (BlockRequest | undefined)[];
  readonly at: number[];
  isFilled: boolean;
}

const STATUS_NAMES: Readonly<Record<number, string>> = {
  [VIRTIO_BLK_S_IOERR]: 'IOERR',
  [VIRTIO_BLK_S_UNSUPP]: 'UNSUPP',
};

/** The requests of a disk, over all of its queues. */
export class BlockWork extends RequestWork<BlockRequest> {
  readonly #lanes: readonly Lane[];
  readonly #notify: (queue: Virtqueue) => void;
  /** The lane that the next part goes to. */
  #next = 0;
  /** Parts of writes that the device has: a flush waits for them. */
  #writes = 0;

  constructor(disk: BlockDisk, notify: (queue: Virtqueue) => void, maxQueued: number) {
    super('block', maxQueued);
    this.#notify = notify;
    this.#lanes = disk.drivers.map((driver) => ({ driver, requests: [], at: [], isFilled: false }));
  }

  /** Queues a request. Throws as `add` does. */
  call(request: BlockRequest): Promise<Buffer> {
    return this.add(request);
  }

  protected override get isBusy(): boolean {
    return this.#lanes.some(({ driver }) => driver.inFlight > 0);
  }

  protected override isSubmitted(request: BlockRequest): boolean {
    return request.isSubmitted;
  }

  protected override submitPart(request: BlockRequest): number {
    if (request.operation === 'flush' && this.#writes > 0) return NO_BUFFER;
    let reason = NO_BUFFER;
    for (let tried = 0; tried < this.#lanes.length; tried++) {
      const lane = this.#lanes[this.#next]!;
      this.#next = (this.#next + 1) % this.#lanes.length;
      const id = submitTo(lane.driver, request);
      if (id < 0) {
        reason = id;
        continue;
      }
      lane.isFilled = true;
      lane.requests[id] = request;
      lane.at[id] = request.submitted;
      if (changesDisk(request)) this.#writes++;
      if (request.isTransfer) request.submitted += partBytes(lane.driver, request);
      request.isSubmitted = !request.isTransfer || request.submitted === request.length;
      return 0;
    }
    return reason;
  }

  protected override publish(): void {
    for (const lane of this.#lanes) {
      if (!lane.isFilled) continue;
      lane.isFilled = false;
      if (lane.driver.publish()) this.#notify(lane.driver.queue);
    }
  }

  protected override collect(): number {
    let came = 0;
    for (const lane of this.#lanes) {
      for (let count = lane.driver.poll(); count > 0; count = lane.driver.poll()) {
        came += count;
        for (let i = 0; i < count; i++) this.#complete(lane, i);
      }
    }
    return came;
  }

  #complete({ driver, requests, at }: Lane, index: number): void {
    const id = driver.completedSlots[index]!;
    const request = requests[id]!;
    const status = driver.completedStatus[index]!;
    requests[id] = undefined;
    if (changesDisk(request)) this.#writes--;
    if (status !== VIRTIO_BLK_S_OK) request.fail(errorOf(request, status));
    else if (!request.hasFailed) take(request, driver.data(id), at[id]!);
    driver.give(id);
    this.returned(request);
  }
}

/** Submits the next part. Returns its id, or a negative reason. */
function submitTo(driver: BlockDriver, request: BlockRequest): number {
  const { operation, offset, length, submitted } = request;
  const bytes = partBytes(driver, request);
  switch (operation) {
    case 'read':
      return driver.read(offset + submitted, bytes);
    case 'write':
      return driver.write(offset + submitted, request.data!.subarray(submitted, submitted + bytes));
    case 'flush':
      return driver.flush();
    case 'discard':
      return driver.discard(offset, length);
    case 'writeZeroes':
      return driver.writeZeroes(offset, length, request.mayUnmap);
    case 'secureErase':
      return driver.secureErase(offset, length);
    case 'getId':
      return driver.getId();
    default:
      throw new TypeError(`operation ${String(operation satisfies never)}`);
  }
}

/** Copies what was read out of guest memory. */
function take(request: BlockRequest, data: Uint8Array, at: number): void {
  if (request.operation === 'read') (request.data ??= Buffer.allocUnsafe(request.length)).set(data, at);
  else if (request.operation === 'getId') request.data = Buffer.from(data);
}

function partBytes(driver: BlockDriver, { length, submitted }: BlockRequest): number {
  return Math.min(length - submitted, driver.maxBytes);
}

/** Whether a flush covers it. */
function changesDisk({ operation }: BlockRequest): boolean {
  return operation === 'write' || operation === 'discard' || operation === 'writeZeroes' || operation === 'secureErase';
}

function errorOf({ operation, offset, length }: BlockRequest, status: number): RequestError {
  const isPlaced = length > 0;
  const place = isPlaced ? { offset, length } : {};
  const statusName = STATUS_NAMES[status] ?? 'an unknown status';
  const hint =
    status === VIRTIO_BLK_S_UNSUPP
      ? 'the device does not know the request, although it may have offered its feature'
      : 'see what the back-end says, and whether its image can be read and written there';
  return new RequestError({ operation, ...place, status, statusName }, hint);
}
