import { closeDescriptor, type TransferResult, type UnixSocket } from '@virtio-platform/host';
import {
  FLAG_REPLY,
  MessageHeader,
  requestName,
  sendMessage,
  VHOST_USER_REQUESTS,
  type RequestName,
} from '@virtio-platform/vhost-user';
import { FrontEndViolation } from '../front-end-violation.ts';
import { LONGEST_PAYLOAD, MESSAGE_RULES } from './message-rules.ts';

/** A message of the front-end, of a size that its kind has. */
export class FrontEndMessage {
  readonly name: RequestName;
  readonly wantsReply: boolean;
  readonly payload: DataView;
  readonly #descriptors: number[];

  constructor(name: RequestName, wantsReply: boolean, payload: DataView, descriptors: number[]) {
    this.name = name;
    this.wantsReply = wantsReply;
    this.payload = payload;
    this.#descriptors = descriptors;
  }

  /** Gives the first of the descriptors that are left to the caller, who closes it. */
  takeDescriptor(): number | undefined {
    return this.#descriptors.shift();
  }

  /** Undoes {@link takeDescriptor}. */
  giveBack(descriptor: number): void {
    this.#descriptors.unshift(descriptor);
  }

  /** Gives all descriptors that are left to the caller. */
  takeDescriptors(): number[] {
    return this.#descriptors.splice(0);
  }

  /** Closes the descriptors that were not taken. */
  dispose(): void {
    closeAll(this.#descriptors.splice(0));
  }
}

/** How long the rest of a message may take, and the front-end to take an answer. */
const TRANSFER_MS = 1000;

/**
 * The messages of a front-end, and the answers to them. A message that does not fit its kind ends the connection: where
 * the next one would begin is not known then.
 */
export class FrontEndChannel {
  readonly #socket: UnixSocket;
  readonly #header: MessageHeader = new MessageHeader();

  /** Takes the socket over. */
  constructor(socket: UnixSocket) {
    this.#socket = socket;
  }

  /** Readable when a message waits, or the front-end is gone. */
  get descriptor(): number {
    return this.#socket.descriptor;
  }

  /** Whether a message, or the end of the connection, can be received at once. */
  get isReadable(): boolean {
    return this.#socket.isReadable();
  }

  /** Receives a message that begins within `waitMs`. Throws {@link FrontEndViolation} for one that does not fit. */
  receive(waitMs: number): FrontEndMessage | 'closed' | 'timeout' {
    const descriptors: number[] = [];
    try {
      const result = this.#receive(waitMs, descriptors);
      if (typeof result === 'string') closeAll(descriptors);
      return result;
    } catch (error) {
      closeAll(descriptors);
      throw error;
    }
  }

  /**
   * Answers a message; descriptors stay the caller's. Throws {@link FrontEndViolation} where the front-end does not
   * take the answer.
   */
  reply(name: RequestName, payload: Uint8Array, descriptors: readonly number[] = []): void {
    const message = { request: VHOST_USER_REQUESTS[name], flags: FLAG_REPLY, payload, descriptors };
    const result = sendMessage(this.#socket, message, TRANSFER_MS);
    if (result === 'timeout') throw new FrontEndViolation(`did not take the answer to ${name} in ${TRANSFER_MS} ms`);
  }

  dispose(): void {
    this.#socket.dispose();
  }

  #receive(waitMs: number, descriptors: number[]): FrontEndMessage | 'closed' | 'timeout' {
    const header = this.#header;
    // Where nothing came there is no message, and where a part came there is a deadline for the rest.
    const start = this.#socket.receiveDescriptors(header.bytes.subarray(0, 1), descriptors, waitMs);
    if (start !== 'done') return start;
    if (!this.#fill(header.bytes.subarray(1), descriptors)) return 'closed';
    const { request, size, wantsReply, isRequest, flags } = header;
    const name = requestName(request);
    const rule = name === undefined ? undefined : MESSAGE_RULES[name];
    if (!isRequest || size > LONGEST_PAYLOAD)
      throw new FrontEndViolation(`sent ${name ?? `request ${request}`} with flags ${flags} and ${size} bytes`);
    const payload = new Uint8Array(size);
    if (size > 0 && !this.#fill(payload, descriptors)) return 'closed';
    if (name === undefined || rule === undefined)
      throw new FrontEndViolation(`sent ${name ?? `request ${request}`}, which was not negotiated`);
    const [least, most] = rule.bytes;
    if (size < least || size > most) throw new FrontEndViolation(`sent ${name} with ${size} bytes`);
    if (descriptors.length > rule.descriptors)
      throw new FrontEndViolation(`sent ${name} with ${descriptors.length} descriptors`);
    return new FrontEndMessage(name, wantsReply, new DataView(payload.buffer), descriptors);
  }

  /** Receives the rest of a message. Returns false where the front-end is gone. */
  #fill(target: Uint8Array, descriptors: number[]): boolean {
    const result: TransferResult = this.#socket.receiveDescriptors(target, descriptors, TRANSFER_MS);
    if (result === 'timeout') throw new FrontEndViolation(`sent half of a message, and no more in ${TRANSFER_MS} ms`);
    return result === 'done';
  }
}

function closeAll(descriptors: readonly number[]): void {
  for (const descriptor of descriptors) closeDescriptor(descriptor);
}
