import { NativeBuffer } from '../libc.ts';

/** The largest number of descriptors in one message. A vhost-user message has at most 8 memory regions. */
export const MAX_DESCRIPTORS = 8;

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
/** Bytes of struct cmsghdr: size_t len, int level, int type. */
const CONTROL_HEADER = 16;
/** Offsets in one buffer: struct msghdr (56 bytes), struct iovec (16), the control message, the data. */
const IOVEC = 64;
const CONTROL = 128;
const CONTROL_BYTES = CONTROL_HEADER + 4 * MAX_DESCRIPTORS;
const DATA = 256;
/** Offsets in struct msghdr. */
const MSG_IOV = 16;
const MSG_IOVLEN = 24;
const MSG_CONTROL = 32;
const MSG_CONTROLLEN = 40;

/**
 * The structures of sendmsg(2) and recvmsg(2) in one buffer, laid out once and used for every message: a header, the
 * data in one piece, and a control message for descriptors.
 */
export class SocketMessage {
  /** Bytes of data in one system call, at most. Longer transfers take several calls. */
  static readonly CAPACITY = 4096;
  readonly #buffer: NativeBuffer = new NativeBuffer(DATA + SocketMessage.CAPACITY);

  constructor() {
    const { bytes, address } = this.#buffer;
    bytes.setBigUint64(MSG_IOV, address + BigInt(IOVEC), true);
    bytes.setBigUint64(MSG_IOVLEN, 1n, true);
    bytes.setBigUint64(IOVEC, address + BigInt(DATA), true);
  }

  /** Address of the header. */
  get header(): bigint {
    return this.#buffer.address;
  }

  /** Address of the data. */
  get data(): bigint {
    return this.#buffer.address + BigInt(DATA);
  }

  /** Sets the data and the descriptors to send. */
  write(source: Uint8Array, descriptors: readonly number[]): void {
    const bytes = this.#buffer.bytes;
    this.#data(source.length).set(source);
    bytes.setBigUint64(IOVEC + 8, BigInt(source.length), true);
    if (descriptors.length === 0) return this.#setControl(0);
    const length = CONTROL_HEADER + 4 * descriptors.length;
    bytes.setBigUint64(CONTROL, BigInt(length), true);
    bytes.setInt32(CONTROL + 8, SOL_SOCKET, true);
    bytes.setInt32(CONTROL + 12, SCM_RIGHTS, true);
    descriptors.forEach((descriptor, i) => bytes.setInt32(CONTROL + CONTROL_HEADER + 4 * i, descriptor, true));
    this.#setControl(Math.ceil(length / 8) * 8);
  }

  /** Prepares to receive up to `length` bytes, and descriptors. */
  prepare(length: number): void {
    this.#buffer.bytes.setBigUint64(IOVEC + 8, BigInt(length), true);
    this.#setControl(CONTROL_BYTES);
  }

  /** Copies the first `length` received bytes out. */
  read(target: Uint8Array, at: number, length: number): void {
    target.set(this.#data(length), at);
  }

  /** The descriptors of the last received message. The kernel opened them for this process; the caller closes them. */
  descriptors(): number[] {
    const bytes = this.#buffer.bytes;
    const received = Number(bytes.getBigUint64(MSG_CONTROLLEN, true));
    if (received < CONTROL_HEADER) return [];
    if (bytes.getInt32(CONTROL + 8, true) !== SOL_SOCKET || bytes.getInt32(CONTROL + 12, true) !== SCM_RIGHTS)
      return [];
    const length = Math.min(Number(bytes.getBigUint64(CONTROL, true)), CONTROL_BYTES);
    const found: number[] = [];
    for (let at = CONTROL_HEADER; at + 4 <= length; at += 4) found.push(bytes.getInt32(CONTROL + at, true));
    return found;
  }

  dispose(): void {
    this.#buffer.dispose();
  }

  #data(length: number): Uint8Array {
    return new Uint8Array(this.#buffer.bytes.buffer, DATA, length);
  }

  #setControl(length: number): void {
    const { bytes, address } = this.#buffer;
    bytes.setBigUint64(MSG_CONTROL, length === 0 ? 0n : address + BigInt(CONTROL), true);
    bytes.setBigUint64(MSG_CONTROLLEN, BigInt(length), true);
  }
}
