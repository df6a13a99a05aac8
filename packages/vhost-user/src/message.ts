import type { TransferResult, UnixSocket } from '@virtio-platform/host';

/** u32 request, u32 flags, u32 size of the payload; in the byte order of the host, which is little-endian here. */
export const HEADER_BYTES = 12;
/** The protocol version, in the low bits of the flags. */
const VERSION = 1;
/** The bits of the flags that hold the version. */
const VERSION_MASK = 3;
/** Bit of the flags: the message is a reply. */
export const FLAG_REPLY = 4;
/** Bit of the flags: the sender wants an acknowledgement (REPLY_ACK). */
export const FLAG_NEED_REPLY = 8;

/** The header of a message that was received: fill {@link bytes}, then read. */
export class MessageHeader {
  readonly bytes: Uint8Array = new Uint8Array(HEADER_BYTES);
  readonly #view: DataView = new DataView(this.bytes.buffer);

  get request(): number {
    return this.#view.getUint32(0, true);
  }

  get flags(): number {
    return this.#view.getUint32(4, true);
  }

  /** Bytes of the payload, as the sender says. */
  get size(): number {
    return this.#view.getUint32(8, true);
  }

  /** Whether it is a request in the one version that there is. */
  get isRequest(): boolean {
    return (this.flags & (VERSION_MASK | FLAG_REPLY)) === VERSION;
  }

  /** Whether it is a reply in the one version that there is. */
  get isReply(): boolean {
    return (this.flags & (VERSION_MASK | FLAG_REPLY)) === (VERSION | FLAG_REPLY);
  }

  /** Whether the sender asks for an acknowledgement. */
  get wantsReply(): boolean {
    return (this.flags & FLAG_NEED_REPLY) !== 0;
  }
}

/** What {@link sendMessage} sends. */
export interface OutgoingMessage {
  /** Its number: of a front-end's request, or of a back-end's. */
  readonly request: number;
  /** {@link FLAG_REPLY} or {@link FLAG_NEED_REPLY}; 0 for none. The version is added. */
  readonly flags: number;
  readonly payload: Uint8Array;
  /** Copies are sent; the caller keeps its own. At most eight. */
  readonly descriptors?: readonly number[];
}

/** Sends one message. Throws {@link HostError}. */
export function sendMessage(socket: UnixSocket, message: OutgoingMessage, timeoutMs: number): TransferResult {
  return socket.send(encodeMessage(message), message.descriptors ?? [], timeoutMs);
}

/** The bytes of a message: its header and its payload. */
export function encodeMessage({ request, flags, payload }: OutgoingMessage): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const header = new DataView(bytes.buffer);
  header.setUint32(0, request, true);
  header.setUint32(4, VERSION | flags, true);
  header.setUint32(8, payload.length, true);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}
