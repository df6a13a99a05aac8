import { setTimeout } from 'node:timers/promises';
import { closeDescriptor, HostError, UnixSocket } from '@virtio-platform/host';
import { CaseEnd } from '../bench/case-end.ts';
import { payloadOf } from './payload.ts';
import { IS_REPLY, NEEDS_REPLY, REQUESTS, VERSION, type RequestName } from './requests.ts';

/** What of a message is not as it has to be. */
export interface MessageOptions {
  readonly descriptors?: readonly number[];
  /** All of the flags. */
  readonly flags?: number;
  /** What the header says that the payload has. */
  readonly size?: number;
}

/** An answer. */
export interface Reply {
  readonly payload: DataView;
  /** Descriptors that came along; the receiver closes them. */
  readonly descriptors: readonly number[];
}

const HEADER_BYTES = 12;
const HAS_VERSION_AND_REPLY = VERSION | IS_REPLY;
const VERSION_AND_REPLY_MASK = 7;
/** More than any answer has; bounds what a lying back-end makes of it. */
const MOST_BYTES = 4096;
/** More answers than a case has asked for. */
const MOST_SKIPPED = 64;

/** The front-end's end of a connection: messages that are written by hand. Every wait is bounded. */
export class FrontEnd {
  readonly #socket: UnixSocket;
  readonly #patienceMs: number;
  #last = 'the connection';
  /** What the front-end does while it waits for an answer: the back-end may need it first. */
  meanwhile: (() => void) | undefined;

  constructor(socket: UnixSocket, patienceMs: number) {
    this.#socket = socket;
    this.#patienceMs = patienceMs;
  }

  get descriptor(): number {
    return this.#socket.descriptor;
  }

  /** Sends a message. A back-end that closed the connection is gone; one that takes nothing hangs. */
  send(request: RequestName | number, payload: Uint8Array = new Uint8Array(0), options: MessageOptions = {}): void {
    const { descriptors = [], flags = VERSION, size = payload.length } = options;
    this.#last = nameOf(request);
    const header = payloadOf(typeof request === 'number' ? request : REQUESTS[request], flags, size);
    this.sendBytes(new Uint8Array(Buffer.concat([header, payload])), descriptors);
  }

  /** Sends bytes, whatever they are. */
  sendBytes(bytes: Uint8Array, descriptors: readonly number[] = []): void {
    const result = this.#socket.send(bytes, descriptors, this.#patienceMs);
    if (result === 'closed') throw this.#closed();
    if (result === 'timeout') throw hang(`take ${this.#last} in ${this.#patienceMs} ms`);
  }

  /** Asks, and returns the answer; a payload of another length than `bytes`, where given, fails the case. */
  ask(request: RequestName, payload?: Uint8Array, bytes?: number, options?: MessageOptions): DataView {
    this.send(request, payload, options);
    const { payload: answer, descriptors } = this.receive(request);
    for (const descriptor of descriptors) closeDescriptor(descriptor);
    if (descriptors.length > 0) throw new CaseEnd('fail', `its answer to ${request} came with descriptors`);
    if (bytes !== undefined && answer.byteLength !== bytes)
      throw new CaseEnd('fail', `its answer to ${request} has ${answer.byteLength} bytes, and has to have ${bytes}`);
    return answer;
  }

  /** Asks for a number. */
  askU64(request: RequestName, options?: MessageOptions): bigint {
    return this.ask(request, undefined, 8, options).getBigUint64(0, true);
  }

  /** Sends a command and asks for an acknowledgement: 0 for success. */
  acknowledged(request: RequestName | number, payload?: Uint8Array, descriptors: readonly number[] = []): bigint {
    this.send(request, payload, { descriptors, flags: VERSION | NEEDS_REPLY });
    const answer = this.receive(request);
    for (const descriptor of answer.descriptors) closeDescriptor(descriptor);
    if (answer.payload.byteLength !== 8)
      throw new CaseEnd('fail', `its acknowledgement of ${nameOf(request)} has ${answer.payload.byteLength} bytes`);
    return answer.payload.getBigUint64(0, true);
  }

  /** Receives the answer to a request. Fails the case for one that is no answer to it. */
  receive(request: RequestName | number): Reply {
    const what = `answer ${nameOf(request)}`;
    const descriptors: number[] = [];
    const header = this.#receiveBytes(HEADER_BYTES, descriptors, what);
    const [id, flags, size] = [header.getUint32(0, true), header.getUint32(4, true), header.getUint32(8, true)];
    const isAnswer = id === (typeof request === 'number' ? request : REQUESTS[request]);
    if (isAnswer && (flags & VERSION_AND_REPLY_MASK) === HAS_VERSION_AND_REPLY && size <= MOST_BYTES)
      return { payload: this.#receiveBytes(size, descriptors, what), descriptors };
    for (const descriptor of descriptors) closeDescriptor(descriptor);
    const seen = `request ${id}, flags 0x${flags.toString(16)}, ${size} bytes`;
    throw new CaseEnd('fail', `its answer to ${nameOf(request)} is one with ${seen}`);
  }

  /** Waits for the answer to a request, whatever the back-end answers to those before it. */
  skipTo(request: RequestName): void {
    const what = `answer ${request}`;
    for (let n = 0; n < MOST_SKIPPED; n++) {
      const descriptors: number[] = [];
      const header = this.#receiveBytes(HEADER_BYTES, descriptors, what);
      const size = header.getUint32(8, true);
      if (size > MOST_BYTES) throw new CaseEnd('fail', `it sent a message of ${size} bytes`);
      this.#receiveBytes(size, descriptors, what);
      for (const descriptor of descriptors) closeDescriptor(descriptor);
      if (header.getUint32(0, true) === REQUESTS[request]) return;
    }
    throw new CaseEnd('fail', `it sent ${MOST_SKIPPED} messages that it was not asked for`);
  }

  /** Whether the back-end sent something, or closed the connection. */
  hasNews(): boolean {
    return this.#socket.isReadable();
  }

  /** Whether the back-end has closed the connection. What it sent before is lost by asking. */
  isClosed(): boolean {
    const some = new Uint8Array(1024);
    while (this.#socket.isReadable()) {
      if (this.#socket.receiveSome(some, 0) === 'closed') return true;
    }
    return false;
  }

  dispose(): void {
    this.#socket.dispose();
  }

  #receiveBytes(length: number, descriptors: number[], what: string): DataView {
    const bytes = new Uint8Array(length);
    const deadline = performance.now() + this.#patienceMs;
    while (this.meanwhile !== undefined && performance.now() < deadline && !this.#socket.isReadable()) this.meanwhile();
    const result = this.#socket.receiveDescriptors(bytes, descriptors, this.#patienceMs);
    if (result === 'done') return new DataView(bytes.buffer);
    for (const descriptor of descriptors) closeDescriptor(descriptor);
    if (result === 'closed') throw this.#closed();
    throw hang(`${what} in ${this.#patienceMs} ms`);
  }

  #closed(): CaseEnd {
    return new CaseEnd('gone', `the back-end closed the connection after ${this.#last}`, 'crash');
  }
}

/**
 * Connects to a back-end that may still be about to listen again, at the path of `listening`. Throws {@link CaseEnd}
 * where none accepts.
 */
export async function connectTo(listening: () => Promise<string>, milliseconds: number): Promise<UnixSocket> {
  const deadline = performance.now() + milliseconds;
  for (;;) {
    try {
      return UnixSocket.connect(await listening());
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      if (performance.now() > deadline)
        throw new CaseEnd('gone', `it accepts no connection any more (${error.errno})`, 'crash');
    }
    await setTimeout(1);
  }
}

function nameOf(request: RequestName | number): string {
  return typeof request === 'number' ? `request ${request}` : request;
}

function hang(what: string): CaseEnd {
  return new CaseEnd('hang', `the back-end did not ${what}`, 'wedged');
}
