import { DeviceClient } from '../device/device-client.ts';
import type { OpenedDevice } from '../device/open-device.ts';
import type { OpenOptions } from '../device/open-options.ts';
import type { ClientRequest } from './client-request.ts';
import type { RequestWork } from './request-work.ts';

/** How a device whose requests are promises is opened. */
export interface RequestClientOptions extends OpenOptions {
  /** Requests that may wait for their turn: one more rejects with `ERR_CLIENT_FULL`. 4096 unless given. */
  readonly maxQueued?: number | undefined;
}

/** The client of a device whose requests are promises, of which the device has some and the others wait. */
export abstract class RequestClient<Request extends ClientRequest> extends DeviceClient {
  readonly #work: RequestWork<Request>;

  /** Takes the device over, and begins to work. `name` is its type in messages. */
  protected constructor(name: string, device: OpenedDevice, work: RequestWork<Request>) {
    super(name, device, work);
    this.#work = work;
    work.start(() => device.pump.wake());
    this.start(work);
  }

  /** Requests that wait for their turn. */
  get queued(): number {
    return this.#work.queued;
  }

  /** Resolves when a further request may be called without `ERR_CLIENT_FULL`. */
  async ready(): Promise<void> {
    await this.#work.ready();
  }
}
