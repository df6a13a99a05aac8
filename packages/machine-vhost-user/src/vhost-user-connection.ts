import { setImmediate } from 'node:timers/promises';
import { DeviceError } from '@virtio-platform/core';
import { closeDescriptor, PollEvents, PollSet, type UnixSocket } from '@virtio-platform/host';
import {
  FLAG_NEED_REPLY,
  MessageHeader,
  sendMessage,
  VHOST_USER_REQUESTS,
  type RequestName,
} from '@virtio-platform/vhost-user';

/** How a connection treats its back-end. */
export interface ConnectionOptions {
  /** How long the back-end may take over one message. */
  readonly replyTimeoutMs: number;
  /** The end of the back-end's error output, for messages. */
  readonly stderrTail: () => string;
  /** Ends the waits of a start once it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** Answers requests that the back-end sends while the front-end waits for its reply. */
export interface BackEndRequestHandler {
  /** Readable when a request is pending. */
  readonly descriptor: number;
  /**
   * Answers pending requests without waiting for a reply of the back-end. Marks a back-end that breaks the protocol as
   * lost.
   */
  serve(): void;
}

const EMPTY = new Uint8Array(0);
const REPLY = 0;
const REQUEST = 1;
/** How long a wait that lets timers and signals run keeps them waiting, in milliseconds. */
const SLICE_MS = 2;

/** Makes a connection to a back-end that is gone usable again. */
export interface ConnectionReviver {
  /** Whether it would be tried: the back-end is gone, and broke no rule. */
  readonly mayRevive: boolean;
  /** Waits until the back-end is there again, as long as is allowed. Throws {@link DeviceError} `ERR_DEVICE_LOST`. */
  revive(): void;
}

/** Requests that mean the same when they are sent to the back-end again that was made to know all of the device. */
const RESENT: ReadonlySet<RequestName> = new Set([
  'GET_FEATURES',
  'GET_CONFIG',
  'SET_CONFIG',
  'ADD_MEM_REG',
  'REM_MEM_REG',
  'IOTLB_MSG',
]);

/** A time that several messages share: what a slow back-end may take for all of them. */
interface Budget {
  /** Completes "it took more than 10000 ms ...". */
  readonly what: string;
  readonly totalMs: number;
  leftMs: number;
}

/**
 * The message channel to a back-end: framing, replies, deadlines. Nothing that comes in is believed unchecked, and
 * after the first thing that does not fit the channel is given up: where the next message would start is then unknown.
 */
export class VhostUserConnection {
  #socket: UnixSocket;
  readonly #options: ConnectionOptions;
  readonly #header: MessageHeader = new MessageHeader();
  #acknowledges = false;
  #loss: string | undefined;
  #isGone = false;
  #reviver: ConnectionReviver | undefined;
  /** Whether an answer is awaited: another process in the place of the back-end was not asked for it. */
  #isAwaiting = false;
  #lastCommand: RequestName | undefined;
  #requestHandler: BackEndRequestHandler | undefined;
  #budget: Budget | undefined;
  readonly #poll: PollSet = new PollSet(2);

  /** Takes over the socket. */
  constructor(socket: UnixSocket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#poll.set(REPLY, socket.descriptor, PollEvents.Readable);
  }

  /** To wait for its end. */
  get descriptor(): number {
    return this.#socket.descriptor;
  }

  get isLost(): boolean {
    return this.#loss !== undefined;
  }

  /** Whether the back-end is lost because its end of the connection is closed: it may be there again. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** From here on `reviver` is asked where the back-end is gone. */
  reviveWith(reviver: ConnectionReviver): void {
    this.#reviver = reviver;
  }

  /** Goes on with another socket, which is taken over: the back-end there knows nothing yet. */
  renew(socket: UnixSocket): void {
    this.#socket.dispose();
    this.#socket = socket;
    this.#poll.set(REPLY, socket.descriptor, PollEvents.Readable);
    this.#poll.unset(REQUEST);
    this.#requestHandler = undefined;
    this.#acknowledges = false;
    this.#loss = undefined;
    this.#isGone = false;
  }

  /** From here on every command is answered: REPLY_ACK was negotiated. */
  acknowledgeCommands(): void {
    this.#acknowledges = true;
  }

  /** From here on `handler` serves while an answer of the back-end is awaited. */
  serveRequestsWith(handler: BackEndRequestHandler): void {
    this.#requestHandler = handler;
    this.#poll.set(REQUEST, handler.descriptor, PollEvents.Readable);
  }

  /** Serves what the back-end asked for so far. */
  serveRequests(): void {
    this.#requestHandler?.serve();
  }

  /** Throws {@link DeviceError} `ERR_DEVICE_LOST` once the back-end is gone, and is not there again. */
  check(): void {
    if (this.#loss === undefined) return;
    if (!this.#mayRevive) throw this.#lostError();
    this.#reviver!.revive();
  }

  /** Marks the back-end as lost, for a reason that the caller found. The first reason stays. */
  lose(reason: string): void {
    this.#loss ??= reason;
  }

  /** Marks the back-end as lost because it closed its end, of which `reason` says more. */
  loseGone(reason: string): void {
    if (this.#loss === undefined) this.#isGone = true;
    this.lose(reason);
  }

  /** The back-end is gone for good: `reason` is appended to what is known. */
  giveUp(reason: string): void {
    this.#isGone = false;
    this.#loss = this.#loss === undefined ? reason : `${this.#loss}; ${reason}`;
  }

  /**
   * From here to {@link endBudget} the answers together may take `totalMs`, of which `usedMs` are gone. `what`
   * completes "it took more than 10000 ms ...".
   */
  startBudget(what: string, totalMs: number, usedMs = 0): void {
    this.#budget = { what, totalMs, leftMs: totalMs - usedMs };
  }

  endBudget(): void {
    this.#budget = undefined;
  }

  /**
   * The error of a back-end that broke the protocol in its answer to `request`, which is marked as lost:
   * `ERR_DEVICE_LOST`.
   */
  violation(request: RequestName, reason: string): DeviceError {
    return this.#lostDuring(request, reason);
  }

  /**
   * Sends a request that has an answer of its own, of `minBytes` to `maxBytes`, and returns it. Throws {@link
   * DeviceError} `ERR_DEVICE_LOST`.
   */
  query(request: RequestName, payload: Uint8Array, minBytes: number, maxBytes: number = minBytes): DataView {
    return this.#resending(request, () => {
      this.#send(request, payload, [], 0);
      return this.#receive(request, minBytes, maxBytes);
    });
  }

  /**
   * As {@link query}, of a request that brings descriptors along, which stay the caller's. Throws {@link DeviceError}
   * `ERR_DEVICE_LOST`.
   */
  queryWith(
    request: RequestName,
    payload: Uint8Array,
    descriptors: readonly number[],
    [minBytes, maxBytes]: readonly [number, number],
  ): DataView {
    this.#send(request, payload, descriptors, 0);
    return this.#receive(request, minBytes, maxBytes);
  }

  /**
   * As {@link query}, of a request whose answer brings a descriptor along. Returns it too: the caller closes it. Throws
   * {@link DeviceError} `ERR_DEVICE_LOST` where none came.
   */
  queryFile(
    request: RequestName,
    payload: Uint8Array,
    [minBytes, maxBytes]: readonly [number, number],
  ): { readonly answer: DataView; readonly descriptor: number } {
    this.#send(request, payload, [], 0);
    const descriptors: number[] = [];
    const answer = this.#receive(request, minBytes, maxBytes, descriptors);
    const [descriptor, ...others] = descriptors;
    for (const other of others) closeDescriptor(other);
    if (descriptor === undefined) throw this.#lostDuring(request, 'its answer has no file descriptor');
    return { answer, descriptor };
  }

  /** As {@link query}; timers and signals run while the back-end takes its time. */
  async ask(request: RequestName, payload: Uint8Array, bytes: number): Promise<DataView> {
    this.#send(request, payload, [], 0);
    await this.#idleUntilAnswer(request);
    return this.#receive(request, bytes, bytes);
  }

  /** As {@link command}; timers and signals run while the back-end takes its time. */
  async tell(request: RequestName, payload: Uint8Array = EMPTY, descriptors: readonly number[] = []): Promise<void> {
    this.#sendCommand(request, payload, descriptors);
    if (!this.#acknowledges) return;
    await this.#idleUntilAnswer(request);
    this.#receiveAcknowledgement(request);
  }

  /**
   * Sends a request that only does something, and waits for its acknowledgement where that was negotiated. Descriptors
   * stay the caller's. An acknowledgement proves little: libvhost-user answers 0 to a message it chokes on, and then
   * closes. Throws {@link DeviceError} `ERR_DEVICE_LOST`, or `ERR_DEVICE_REFUSED`.
   */
  command(request: RequestName, payload: Uint8Array = EMPTY, descriptors: readonly number[] = []): void {
    this.#resending(request, () => {
      this.#sendCommand(request, payload, descriptors);
      if (this.#acknowledges) this.#receiveAcknowledgement(request);
    });
  }

  /** Sends a request that has no answer and gets no acknowledgement. Throws {@link DeviceError} `ERR_DEVICE_LOST`. */
  post(request: RequestName, payload: Uint8Array): void {
    this.#resending(request, () => this.#send(request, payload, [], 0));
  }

  /**
   * Makes sure that the last commands did not end the connection after all. Throws {@link DeviceError}
   * `ERR_DEVICE_LOST`.
   */
  confirm(): void {
    this.query('GET_FEATURES', EMPTY, 8);
  }

  dispose(): void {
    this.#loss ??= 'the connection was closed';
    this.#socket.dispose();
    this.#poll.dispose();
  }

  /** Exchanges a message, and once more where the back-end was gone meanwhile and is there again. */
  #resending<T>(request: RequestName, exchange: () => T): T {
    try {
      return exchange();
    } catch (error) {
      if (!this.#isGone || !this.#mayRevive || !RESENT.has(request)) throw error;
      this.#reviver!.revive();
      return exchange();
    }
  }

  /** Whether the back-end would be made to be there again: not while an answer is awaited of the one that is gone. */
  get #mayRevive(): boolean {
    return !this.#isAwaiting && this.#reviver?.mayRevive === true;
  }

  #sendCommand(request: RequestName, payload: Uint8Array, descriptors: readonly number[]): void {
    this.#lastCommand = request;
    this.#send(request, payload, descriptors, this.#acknowledges ? FLAG_NEED_REPLY : 0);
  }

  #receiveAcknowledgement(request: RequestName): void {
    const status = this.#receive(request, 8, 8).getBigUint64(0, true);
    if (status === 0n) return;
    throw new DeviceError('ERR_DEVICE_REFUSED', `the vhost-user back-end answers ${status} to ${request}`, {
      hint: this.#hint(),
    });
  }

  #send(request: RequestName, payload: Uint8Array, descriptors: readonly number[], flags: number): void {
    this.check();
    const message = { request: VHOST_USER_REQUESTS[request], flags, payload, descriptors };
    const result = sendMessage(this.#socket, message, this.#options.replyTimeoutMs);
    if (result === 'closed') throw this.#goneDuring(request, 'the connection is closed');
    if (result === 'timeout')
      throw this.#lostDuring(request, `it did not take it in ${this.#options.replyTimeoutMs} ms`);
  }

  #receive(request: RequestName, minBytes: number, maxBytes: number, descriptors?: number[]): DataView {
    const start = performance.now();
    const deadline = start + this.#waitMs();
    this.#awaitAnswer(request, deadline);
    this.#fill(request, this.#header.bytes, deadline, descriptors);
    const { request: id, flags, size, isReply } = this.#header;
    if (id !== VHOST_USER_REQUESTS[request] || !isReply || size < minBytes || size > maxBytes) {
      throw this.#lostDuring(request, `it answered with request ${id}, flags ${flags} and ${size} bytes`);
    }
    const payload = new Uint8Array(size);
    this.#fill(request, payload, deadline);
    this.#spend(performance.now() - start);
    return new DataView(payload.buffer);
  }

  /** How long the next answer may take. */
  #waitMs(): number {
    return Math.max(0, Math.min(this.#options.replyTimeoutMs, this.#budget?.leftMs ?? Infinity));
  }

  #spend(ms: number): void {
    if (this.#budget !== undefined) this.#budget.leftMs -= ms;
  }

  /**
   * Waits for an answer, which comes first when it is there: a back-end that never stops asking gains nothing by it.
   * Throws where the back-end is gone meanwhile, of which the back channel may tell first.
   */
  #awaitAnswer(request: RequestName, deadline: number): void {
    const handler = this.#requestHandler;
    this.#isAwaiting = true;
    try {
      for (let left = deadline - performance.now(); ; left = deadline - performance.now()) {
        if (!this.#poll.wait(left)) throw this.#noAnswer(request);
        if (handler === undefined || this.#poll.events(REPLY) !== 0) return;
        if (left <= 0) throw this.#noAnswer(request);
        handler.serve();
        this.check();
      }
    } finally {
      this.#isAwaiting = false;
    }
  }

  /** Returns when the answer, or its beginning, is there. */
  async #idleUntilAnswer(request: RequestName): Promise<void> {
    const start = performance.now();
    const deadline = start + this.#waitMs();
    for (;;) {
      if (this.#poll.wait(SLICE_MS)) {
        if (this.#poll.events(REPLY) !== 0) break;
        this.#requestHandler?.serve();
      }
      await setImmediate();
      this.check();
      this.#options.signal?.throwIfAborted();
      if (performance.now() > deadline) throw this.#noAnswer(request);
    }
    this.#spend(performance.now() - start);
  }

  /** Fills `target`. Descriptors that come along are appended to `taken`; without it there must be none. */
  #fill(request: RequestName, target: Uint8Array, deadline: number, taken?: number[]): void {
    const descriptors: number[] = taken ?? [];
    const left = deadline - performance.now();
    const result = this.#socket.receiveDescriptors(target, descriptors, left);
    if (taken === undefined) for (const descriptor of descriptors) closeDescriptor(descriptor);
    if (result === 'closed') throw this.#goneDuring(request, 'it closed the connection');
    if (result === 'timeout') throw this.#noAnswer(request);
    if (descriptors.length === 0 || taken !== undefined) return;
    throw this.#lostDuring(request, `it attached ${descriptors.length} file descriptors to its answer, which has none`);
  }

  #noAnswer(request: RequestName): DeviceError {
    const { replyTimeoutMs } = this.#options;
    const budget = this.#budget;
    if (budget === undefined || budget.leftMs >= replyTimeoutMs) {
      return this.#lostDuring(request, `no answer in ${replyTimeoutMs} ms`);
    }
    return this.#lostDuring(request, `it took more than ${budget.totalMs} ms ${budget.what}`);
  }

  #goneDuring(request: RequestName, reason: string): DeviceError {
    this.#isGone = true;
    return this.#lostDuring(request, reason);
  }

  #lostDuring(request: RequestName, reason: string): DeviceError {
    this.#loss = `${request}: ${reason}`;
    return this.#lostError();
  }

  #lostError(): DeviceError {
    const command = this.#lastCommand === undefined ? '' : ` (last command: ${this.#lastCommand})`;
    const words = this.#options.stderrTail();
    const printed = words === '' ? '' : `; it printed last: ${words}`;
    return new DeviceError('ERR_DEVICE_LOST', `the vhost-user back-end is gone: ${this.#loss}${command}${printed}`, {
      hint: this.#hint(),
    });
  }

  #hint(): string {
    return 'see whether the back-end still runs and what it prints; most serve one front-end at a time';
  }
}
