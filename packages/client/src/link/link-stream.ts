import { Duplex } from 'node:stream';
import { MappingFailures, NO_BUFFER, type MessageLink } from '@virtio-platform/device-kit';

/** A chunk that is being written. */
interface PendingWrite {
  readonly bytes: Uint8Array;
  /** Bytes of it that were sent. */
  at: number;
  readonly done: (error?: Error | null) => void;
}

/** How a link becomes a stream. */
export interface LinkStreamOptions {
  /** Bytes of the longest message. */
  readonly messageBytes: number;
  /** Messages, or bytes, that are buffered each way before the other side has to wait. */
  readonly highWaterMark?: number | undefined;
  /** Has the pump run soon. */
  readonly wake: () => void;
}

/**
 * One channel of a driver half as a stream: of whole messages (object mode) where the link keeps them apart, of bytes
 * otherwise. What the program does not read stays with the device, which has to wait; what the device does not take
 * makes the program wait. Bytes are copied once into guest memory and once out of it.
 */
export class LinkStream extends Duplex {
  readonly #link: MessageLink;
  readonly #messageBytes: number;
  readonly #wake: () => void;
  readonly #failures: MappingFailures;
  #pending: PendingWrite | undefined;
  #isReading = false;
  /** Where the next message goes; a new one where the program has the last. */
  #target: Buffer | undefined;

  constructor(link: MessageLink, { messageBytes, highWaterMark, wake }: LinkStreamOptions) {
    super({
      objectMode: link.isFramed,
      decodeStrings: true,
      allowHalfOpen: link.isFramed,
      ...(highWaterMark === undefined ? {} : { highWaterMark }),
    });
    this.#link = link;
    this.#messageBytes = messageBytes;
    this.#wake = wake;
    this.#failures = new MappingFailures(`a message of ${messageBytes} bytes`);
  }

  /** Whether the program takes what comes. */
  get isReading(): boolean {
    return this.#isReading && !this.destroyed;
  }

  /** Whether the program waits for the device to take what it wrote. */
  get isWriting(): boolean {
    return this.#pending !== undefined;
  }

  /** Sends and receives what can be. Returns how much happened. Throws what the driver half throws. */
  round(): number {
    const sent = this.#send();
    const received = this.#receive();
    return sent + received + this.#link.flush();
  }

  /** No more comes: the program reads the end. */
  endReading(): void {
    this.#isReading = false;
    if (!this.readableEnded && !this.destroyed) this.push(null);
  }

  override _read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    this.#wake();
  }

  override _write(chunk: unknown, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const error = this.#problemOf(chunk);
    if (error !== undefined) return done(error);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the check just said that it is
    const bytes = chunk as Uint8Array;
    if (bytes.length === 0) return done();
    this.#pending = { bytes, at: 0, done };
    this.#wake();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const pending = this.#pending;
    this.#pending = undefined;
    this.#isReading = false;
    this.release();
    this.#wake();
    pending?.done(error ?? new Error('the stream was destroyed'));
    done(error);
  }

  /** The stream is destroyed: gives back what it has beside its link. */
  protected release(): void {}

  #problemOf(chunk: unknown): Error | undefined {
    if (!(chunk instanceof Uint8Array)) return new TypeError(`a message is a Buffer, not ${typeof chunk}`);
    if (!this.#link.isFramed) return undefined;
    if (chunk.length >= 1 && chunk.length <= this.#messageBytes) return undefined;
    return new RangeError(`a message of ${chunk.length} bytes, and one has 1 to ${this.#messageBytes}`);
  }

  #send(): number {
    let sent = 0;
    // Each `done` may hand over the next chunk.
    for (let pending = this.#pending; pending !== undefined; pending = this.#pending) {
      const piece = Math.min(pending.bytes.length - pending.at, this.#messageBytes);
      const bytes = pending.at === 0 ? pending.bytes : pending.bytes.subarray(pending.at);
      const reason = this.#link.send(bytes, piece);
      if (reason < 0) {
        if (reason !== NO_BUFFER && this.#link.inFlight === 0) this.#failures.failed(reason);
        break;
      }
      this.#failures.ended();
      sent++;
      pending.at += piece;
      if (pending.at < pending.bytes.length) continue;
      this.#pending = undefined;
      pending.done();
    }
    return sent;
  }

  #receive(): number {
    let received = 0;
    while (this.#isReading) {
      const target = (this.#target ??= Buffer.allocUnsafe(this.#messageBytes));
      const length = this.#link.receive(target);
      if (length === 0) break;
      received++;
      const isShort = length * 2 < target.length;
      const message = isShort ? Buffer.from(target.subarray(0, length)) : target.subarray(0, length);
      if (!isShort) this.#target = undefined;
      if (!this.push(message)) this.#isReading = false;
    }
    return received;
  }
}
