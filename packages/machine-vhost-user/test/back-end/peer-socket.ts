import { createRequire } from 'node:module';
import { NativeBuffer } from '@virtio-platform/host';

const koffi: typeof import('koffi') = createRequire(import.meta.url)('koffi');
const library = koffi.load(null);
const socket = library.func('int socket(int domain, int type, int protocol)');
const bind = library.func('int bind(int fd, const void *address, unsigned int length)');
const listen = library.func('int listen(int fd, int backlog)');
const accept = library.func('int accept(int fd, void *address, void *length)');
const recvmsg = library.func('intptr_t recvmsg(int fd, void *message, int flags)');
const sendmsg = library.func('intptr_t sendmsg(int fd, const void *message, int flags)');

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SCM_RIGHTS = 1;
/** Offsets in one buffer: struct msghdr, struct iovec, the control message, the data. */
const IOVEC = 64;
const CONTROL = 128;
const CONTROL_BYTES = 64;
const DATA = 256;
const MOST_BYTES = 4096;

/** The end of a back-end: blocking, and free to send what no honest back-end sends. */
export class PeerSocket {
  readonly descriptor: number;
  readonly #buffer = new NativeBuffer(DATA + MOST_BYTES);

  constructor(descriptor: number) {
    this.descriptor = descriptor;
  }

  /** Listens at a path and returns the first connection. */
  static accept(path: string): PeerSocket {
    const server: number = socket(AF_UNIX, SOCK_STREAM, 0);
    const address = new NativeBuffer(110);
    address.bytes.setUint16(0, AF_UNIX, true);
    Buffer.from(path).forEach((byte, i) => address.bytes.setUint8(2 + i, byte));
    if (bind(server, address.address, 110) !== 0 || listen(server, 1) !== 0)
      throw new Error(`cannot listen at ${path}`);
    return new PeerSocket(accept(server, null, null));
  }

  /** Reads exactly `length` bytes, and appends received descriptors to `descriptors`. Returns undefined at the end. */
  receive(length: number, descriptors: number[] = []): DataView | undefined {
    const bytes = new Uint8Array(length);
    const buffer = this.#buffer.bytes;
    for (let done = 0; done < length;) {
      this.#prepare(length - done, CONTROL_BYTES);
      const received = Number(recvmsg(this.descriptor, this.#buffer.address, 0));
      if (received <= 0) return undefined;
      bytes.set(new Uint8Array(buffer.buffer, DATA, received), done);
      done += received;
      if (buffer.getBigUint64(40, true) === 0n) continue;
      const end = CONTROL + Number(buffer.getBigUint64(CONTROL, true));
      for (let at = CONTROL + 16; at < end; at += 4) descriptors.push(buffer.getInt32(at, true));
    }
    return new DataView(bytes.buffer);
  }

  send(bytes: Uint8Array, descriptors: readonly number[] = []): void {
    const buffer = this.#buffer.bytes;
    const length = descriptors.length === 0 ? 0 : 16 + 4 * descriptors.length;
    this.#prepare(bytes.length, length);
    buffer.setBigUint64(CONTROL, BigInt(length), true);
    buffer.setInt32(CONTROL + 8, SCM_RIGHTS, true);
    buffer.setInt32(CONTROL + 12, SCM_RIGHTS, true);
    descriptors.forEach((descriptor, i) => buffer.setInt32(CONTROL + 16 + 4 * i, descriptor, true));
    new Uint8Array(buffer.buffer).set(bytes, DATA);
    sendmsg(this.descriptor, this.#buffer.address, 0);
  }

  /** One message of the protocol. */
  sendMessage(request: number, flags: number, payload: Uint8Array, descriptors: readonly number[] = []): void {
    const message = new Uint8Array(12 + payload.length);
    new Uint32Array(message.buffer, 0, 3).set([request, flags, payload.length]);
    message.set(payload, 12);
    this.send(message, descriptors);
  }

  #prepare(length: number, control: number): void {
    const { bytes, address } = this.#buffer;
    bytes.setBigUint64(16, address + BigInt(IOVEC), true);
    bytes.setBigUint64(24, 1n, true);
    bytes.setBigUint64(32, control === 0 ? 0n : address + BigInt(CONTROL), true);
    bytes.setBigUint64(40, BigInt(control), true);
    bytes.setBigUint64(IOVEC, address + BigInt(DATA), true);
    bytes.setBigUint64(IOVEC + 8, BigInt(length), true);
  }
}
