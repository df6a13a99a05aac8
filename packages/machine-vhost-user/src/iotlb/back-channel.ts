import { isCodedError } from '@virtio-platform/core';
import { PollEvents, PollSet, UnixSocket } from '@virtio-platform/host';
import {
  encodeU64,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  HEADER_BYTES,
  VERSION,
  VERSION_MASK,
  IOTLB_MESSAGE_BYTES,
  IOTLB_READ_WRITE,
  IotlbMessageType,
} from '../protocol.ts';
import type { BackEndRequestHandler, VhostUserConnection } from '../vhost-user-connection.ts';
import type { Iotlb } from './iotlb.ts';
/** The only request of a back-end that is served. (QEMU docs/interop/vhost-user.rst, "Back-end message types"). */
const BACKEND_IOTLB_MSG = 1;
/** Requests served in a row. Whoever asks for more has to wait until the deadlines of this side were looked at. */
const MOST_AT_ONCE = 64;
/** An access that failed is as long as the back-end says, up to here. */
const LONGEST_ACCESS = 2 ** 32;

/**
 * The channel on which the back-end asks and the front-end answers: a second socket, which the front-end made. Nothing
 * that comes in is believed unchecked, and after the first thing that does not fit the back-end is given up.
 */
export class BackChannel implements BackEndRequestHandler {
  readonly #connection: VhostUserConnection;
  readonly #iotlb: Iotlb;
  readonly #socket: UnixSocket;
  readonly #timeoutMs: number;
  readonly #poll: PollSet = new PollSet(1);
  readonly #header: DataView = new DataView(new ArrayBuffer(HEADER_BYTES));
  readonly #message: DataView = new DataView(new ArrayBuffer(IOTLB_MESSAGE_BYTES));

  private constructor(connection: VhostUserConnection, iotlb: Iotlb, socket: UnixSocket, timeoutMs: number) {
    this.#connection = connection;
    this.#iotlb = iotlb;
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.#poll.set(0, socket.descriptor, PollEvents.Readable);
  }

  /**
   * Makes the channel and gives the back-end its end. `timeoutMs` is how long the back-end may take over one message.
   * Throws {@link DeviceError} and {@link HostError}.
   */
  static open(connection: VhostUserConnection, iotlb: Iotlb, timeoutMs: number): BackChannel {
    const [here, there] = UnixSocket.pair();
    try {
      connection.command('SET_BACKEND_REQ_FD', undefined, [there.descriptor]);
      return new BackChannel(connection, iotlb, here, timeoutMs);
    } catch (error) {
      here.dispose();
      throw error;
    } finally {
      there.dispose();
    }
  }

  /** To wait for requests. */
  get descriptor(): number {
    return this.#socket.descriptor;
  }

  /** Answers what was asked. Waits for nothing but the rest of a message. A back-end that breaks the rules is lost. */
  serve(): void {
    for (let served = 0; served < MOST_AT_ONCE && !this.#connection.isLost && this.#poll.wait(0); served++) {
      this.#serveOne();
    }
  }

  dispose(): void {
    this.#socket.dispose();
    this.#poll.dispose();
  }

  #serveOne(): void {
    if (!this.#fill(this.#header)) return;
    const request = this.#header.getUint32(0, true);
    const flags = this.#header.getUint32(4, true);
    const size = this.#header.getUint32(8, true);
    const isRequest = (flags & (VERSION_MASK | FLAG_REPLY)) === VERSION;
    if (request !== BACKEND_IOTLB_MSG || !isRequest || size !== IOTLB_MESSAGE_BYTES) {
      return this.#connection.lose(`it asked for request ${request}, with flags ${flags} and ${size} bytes`);
    }
    if (!this.#fill(this.#message)) return;
    const isDone = this.#answer(this.#message);
    if ((flags & FLAG_NEED_REPLY) !== 0 && !this.#connection.isLost) this.#reply(isDone);
  }

  #answer(message: DataView): boolean {
    const low = message.getUint32(0, true);
    const high = message.getUint32(4, true);
    const permission = message.getUint8(24);
    const type = message.getUint8(25);
    const isPermission = permission >= 1 && permission <= IOTLB_READ_WRITE;
    if (!isPermission || (type !== IotlbMessageType.Miss && type !== IotlbMessageType.AccessFail)) {
      this.#connection.lose(`it sent an IOTLB message of type ${type} with permission ${permission}`);
      return false;
    }
    if (type === IotlbMessageType.Miss) return this.#miss(low, high, permission);
    const size = Number(message.getBigUint64(8, true));
    this.#iotlb.fail(low, high, Math.min(Math.max(size, 1), LONGEST_ACCESS), permission);
    return true;
  }

  #miss(low: number, high: number, permission: number): boolean {
    try {
      return this.#iotlb.miss(low, high, permission);
    } catch (error) {
      // Whoever uses the connection next is told why it is gone.
      if (isCodedError(error) && this.#connection.isLost) return false;
      throw error;
    }
  }

  #reply(isDone: boolean): void {
    const message = new Uint8Array(HEADER_BYTES + 8);
    const header = new DataView(message.buffer);
    header.setUint32(0, BACKEND_IOTLB_MSG, true);
    header.setUint32(4, VERSION | FLAG_REPLY, true);
    header.setUint32(8, 8, true);
    message.set(encodeU64(isDone ? 0n : 1n), HEADER_BYTES);
    if (this.#socket.send(message, [], this.#timeoutMs) !== 'done') this.#connection.lose('it took no answer');
  }

  #fill({ buffer }: DataView): boolean {
    const result = this.#socket.receive(new Uint8Array(buffer), this.#timeoutMs);
    if (result === 'closed') this.#connection.lose('it closed its back-channel');
    if (result === 'timeout') this.#connection.lose(`it sent half of a request, and no more in ${this.#timeoutMs} ms`);
    return result === 'done';
  }
}
