import { isCodedError } from '@virtio-platform/core';
import { closeDescriptor, LoopReader, PollEvents, PollSet, UnixSocket } from '@virtio-platform/host';
import {
  BACK_END_REQUESTS,
  backEndRequestName,
  decodeIotlbMessage,
  encodeU64,
  FLAG_REPLY,
  IOTLB_MESSAGE_BYTES,
  IOTLB_READ_WRITE,
  IotlbMessageType,
  MessageHeader,
  sendMessage,
} from '@virtio-platform/vhost-user';
import type { BackEndRequestHandler, VhostUserConnection } from './vhost-user-connection.ts';
import type { Iotlb } from './iotlb/iotlb.ts';
/** How many requests are served in a row, before the front-end checks its own deadlines. */
const MOST_AT_ONCE = 64;
/** Bytes that the event loop reads at once: fewer messages than {@link MOST_AT_ONCE}. */
const WATCHED_BYTES = 512;
/** The longest failed access that the back-end can report; a longer one is cut. */
const LONGEST_ACCESS = 2 ** 32;

/** How a {@link BackChannel} treats its back-end. */
export interface BackChannelOptions {
  /** How long the back-end may take over one message. */
  readonly timeoutMs: number;
  /** Whether the back-end may say that the configuration changed: the protocol feature CONFIG was negotiated. */
  readonly hasConfig: boolean;
}

/**
 * The channel on which the back-end asks and the front-end answers: a second socket, made by the front-end. Every
 * message is checked, and the connection is lost with the first one that breaks the protocol.
 */
export class BackChannel implements BackEndRequestHandler {
  readonly #connection: VhostUserConnection;
  #socket: UnixSocket;
  readonly #timeoutMs: number;
  readonly #poll: PollSet = new PollSet(1);
  readonly #header: MessageHeader = new MessageHeader();
  readonly #message: Uint8Array<ArrayBuffer> = new Uint8Array(IOTLB_MESSAGE_BYTES);
  readonly #hasConfig: boolean;
  #iotlb: Iotlb | undefined;
  #configChanges = 0;
  #reader: LoopReader | undefined;
  #listener: (() => void) | undefined;
  /** What the event loop read and `serve` did not take yet. */
  #read: Uint8Array = new Uint8Array(0);

  private constructor(
    connection: VhostUserConnection,
    socket: UnixSocket,
    { timeoutMs, hasConfig }: BackChannelOptions,
  ) {
    this.#connection = connection;
    this.#hasConfig = hasConfig;
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.#poll.set(0, socket.descriptor, PollEvents.Readable);
  }

  /** Makes the channel and gives the back-end its end. Throws {@link DeviceError} and {@link HostError}. */
  static open(connection: VhostUserConnection, options: BackChannelOptions): BackChannel {
    const channel = new BackChannel(connection, giveSocket(connection), options);
    connection.serveRequestsWith(channel);
    return channel;
  }

  /** Makes the channel again, for another process in the place of the back-end. Throws as {@link open} does. */
  renew(): void {
    const socket = giveSocket(this.#connection);
    this.#reader?.dispose();
    this.#socket.dispose();
    this.#socket = socket;
    this.#read = new Uint8Array(0);
    this.#poll.set(0, socket.descriptor, PollEvents.Readable);
    this.#connection.serveRequestsWith(this);
    if (this.#listener !== undefined) this.watch(this.#listener);
    // What it is now was not read yet.
    if (this.#hasConfig) this.#configChanges++;
  }

  /** Readable when a request is pending. */
  get descriptor(): number {
    return this.#socket.descriptor;
  }

  /** How often the back-end said that the configuration changed. */
  get configChanges(): number {
    return this.#configChanges;
  }

  /** Lets the back-end ask `iotlb` for translations from now on. */
  translateWith(iotlb: Iotlb): void {
    this.#iotlb = iotlb;
  }

  /**
   * Has the event loop read the requests from here on, and answers them at once. Calls `listener` where the driver may
   * have something to learn: the configuration changed, or the back-end is lost.
   */
  watch(listener: () => void): void {
    this.#listener = listener;
    this.#reader = new LoopReader(this.#socket.descriptor, WATCHED_BYTES, {
      received: (bytes, length) => {
        this.#read = Buffer.concat([this.#read, bytes.subarray(0, length)]);
        this.#serveRead();
        if (this.#connection.isLost) listener();
      },
      ended: () => {
        this.#connection.loseGone('it closed its back-channel');
        listener();
      },
    });
  }

  /**
   * Answers the pending requests. Waits only for the rest of a message, as long as the back-end may take over one
   * message. A back-end that breaks the protocol is lost.
   */
  serve(): void {
    if (this.#connection.isLost || !this.#hasRequest()) return;
    const deadline = performance.now() + this.#timeoutMs;
    for (let served = 0; served < MOST_AT_ONCE && performance.now() < deadline; served++) {
      this.#serveOne(deadline);
      if (this.#connection.isLost || !this.#hasRequest()) return;
    }
  }

  dispose(): void {
    this.#reader?.dispose();
    this.#socket.dispose();
    this.#poll.dispose();
  }

  /** Serves for the event loop, which has no caller: an error there loses the back-end. */
  #serveRead(): void {
    try {
      this.serve();
    } catch (error) {
      this.#connection.lose(`a request of it failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #hasRequest(): boolean {
    return this.#read.length > 0 || this.#poll.wait(0);
  }

  #serveOne(deadline: number): void {
    if (!this.#fill(this.#header.bytes, deadline)) return;
    const { request, flags, size, isRequest, wantsReply } = this.#header;
    const isServed = isRequest && size === this.#payloadBytes(request);
    if (!isServed) {
      const name = backEndRequestName(request) ?? `request ${request}`;
      const what = `${name} on the back channel, with flags ${flags} and ${size} bytes`;
      return this.#connection.lose(`it sent ${what}, which was not negotiated or is malformed`);
    }
    if (size > 0 && !this.#fill(this.#message, deadline)) return;
    const isDone =
      request === BACK_END_REQUESTS.IOTLB_MSG
        ? this.#answer(new DataView(this.#message.buffer))
        : this.#noteConfigChange();
    if (wantsReply && !this.#connection.isLost) this.#reply(request, isDone);
  }

  /** Bytes of the payload of a request that was negotiated; -1 for any other request. */
  #payloadBytes(request: number): number {
    if (request === BACK_END_REQUESTS.IOTLB_MSG && this.#iotlb !== undefined) return IOTLB_MESSAGE_BYTES;
    return request === BACK_END_REQUESTS.CONFIG_CHANGE_MSG && this.#hasConfig ? 0 : -1;
  }

  /** The request may interrupt an answer on the main socket, so the configuration is read later. */
  #noteConfigChange(): boolean {
    this.#configChanges++;
    if (this.#listener !== undefined) queueMicrotask(this.#listener);
    return true;
  }

  #answer(message: DataView): boolean {
    const { low, high, permission, type, size } = decodeIotlbMessage(message);
    const isPermission = permission >= 1 && permission <= IOTLB_READ_WRITE;
    if (!isPermission || (type !== IotlbMessageType.Miss && type !== IotlbMessageType.AccessFail)) {
      this.#connection.lose(`it sent an IOTLB_MSG of type ${type} with permission ${permission}`);
      return false;
    }
    if (type === IotlbMessageType.Miss) return this.#miss(low, high, permission);
    this.#iotlb!.fail(low, high, Math.min(Math.max(size, 1), LONGEST_ACCESS), permission);
    return true;
  }

  #miss(low: number, high: number, permission: number): boolean {
    try {
      return this.#iotlb!.miss(low, high, permission);
    } catch (error) {
      // The next call that uses the connection throws the reason.
      if (isCodedError(error) && this.#connection.isLost) return false;
      throw error;
    }
  }

  #reply(request: number, isDone: boolean): void {
    const message = { request, flags: FLAG_REPLY, payload: encodeU64(isDone ? 0n : 1n) };
    if (sendMessage(this.#socket, message, this.#timeoutMs) !== 'done') this.#connection.lose('it took no answer');
  }

  #fill(target: Uint8Array, deadline: number): boolean {
    const descriptors: number[] = [];
    const left = deadline - performance.now();
    const read = this.#read.subarray(0, target.length);
    target.set(read);
    this.#read = this.#read.subarray(read.length);
    const result = this.#socket.receiveDescriptors(target.subarray(read.length), descriptors, left);
    for (const descriptor of descriptors) closeDescriptor(descriptor);
    if (descriptors.length > 0) {
      this.#connection.lose(`it attached ${descriptors.length} file descriptors to a request that has none`);
      return false;
    }
    if (result === 'closed') this.#connection.loseGone('it closed its back-channel');
    if (result === 'timeout') this.#connection.lose(`it sent half of a request, and no more in ${this.#timeoutMs} ms`);
    return result === 'done';
  }
}

/** Makes a pair of sockets and gives the back-end one of them. Returns the other one. */
function giveSocket(connection: VhostUserConnection): UnixSocket {
  const [here, there] = UnixSocket.pair();
  try {
    // A back-end that asks for an acknowledgement reads it with a call that waits.
    there.waitInPeer();
    connection.command('SET_BACKEND_REQ_FD', undefined, [there.descriptor]);
    return here;
  } catch (error) {
    here.dispose();
    throw error;
  } finally {
    there.dispose();
  }
}
