import { closeDescriptor, inspectDescriptor, inspectFile } from '@virtio-platform/host';
import {
  decodeInFlight,
  encodeInFlight,
  IN_FLIGHT_MESSAGE_BYTES,
  type InFlightDescription,
} from '@virtio-platform/vhost-user';
import type { VhostUserConnection } from './vhost-user-connection.ts';

/** More than any back-end needs for all of its queues. */
const MOST_BYTES = 2n ** 28n;

/**
 * The record that a back-end keeps of what is in flight, in a file that outlives it: the front-end keeps the file for
 * the process that goes on. The front-end never maps it, so it does not matter what the back-end does with the file.
 */
export class InFlightMemory {
  readonly #connection: VhostUserConnection;
  readonly #description: InFlightDescription;
  readonly #descriptor: number;

  private constructor(connection: VhostUserConnection, description: InFlightDescription, descriptor: number) {
    this.#connection = connection;
    this.#description = description;
    this.#descriptor = descriptor;
  }

  /**
   * Asks the back-end, which knows the features, for a new record of so many queues of so many entries, and has the
   * back-end use it. Throws {@link DeviceError} `ERR_DEVICE_LOST` for a record that cannot be.
   */
  static ask(connection: VhostUserConnection, queueCount: number, queueSize: number): InFlightMemory {
    const request = encodeInFlight({ size: 0n, offset: 0n, queueCount, queueSize });
    const { answer, descriptor } = connection.queryFile('GET_INFLIGHT_FD', request, IN_FLIGHT_MESSAGE_BYTES);
    try {
      const description = decodeInFlight(answer);
      const { size, offset } = description;
      const isFile = inspectDescriptor(descriptor).kind === 'file';
      const bytes = isFile ? BigInt(inspectFile(descriptor).size) : 0n;
      if (!isFile || size === 0n || size > MOST_BYTES || offset + size > bytes) {
        const file = isFile ? `a file of ${bytes} bytes` : 'a descriptor that is no file';
        throw connection.violation('GET_INFLIGHT_FD', `it gave ${size} bytes from ${offset} on in ${file}`);
      }
      if (description.queueCount !== queueCount || description.queueSize !== queueSize) {
        const given = `${description.queueCount} queues of ${description.queueSize} entries`;
        throw connection.violation('GET_INFLIGHT_FD', `it gave a record of ${given}, not of ${queueCount}`);
      }
      const memory = new InFlightMemory(connection, description, descriptor);
      memory.give();
      return memory;
    } catch (error) {
      closeDescriptor(descriptor);
      throw error;
    }
  }

  /** Has the back-end use the record, with what is in it. Throws {@link DeviceError}. */
  give(): void {
    this.#connection.command('SET_INFLIGHT_FD', encodeInFlight(this.#description), [this.#descriptor]);
  }

  dispose(): void {
    closeDescriptor(this.#descriptor);
  }
}
