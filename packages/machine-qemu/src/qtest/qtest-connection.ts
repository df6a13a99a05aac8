import { DeviceError } from '@virtio-platform/core';
import type { UnixSocket } from '@virtio-platform/host';

/** No answer to what is asked here is longer. */
const LONGEST_LINE = 4096;
/** Reports of interrupt lines that may come before an answer. */
const MOST_REPORTS = 1000;
/** So that neither side's socket is ever full of what nobody reads. */
const MOST_POSTED = 64;

export interface QtestOptions {
  readonly replyTimeoutMs: number;
  /** The end of what QEMU printed, for messages. */
  readonly lastWords: () => string;
}

/**
 * The line protocol by which QEMU is driven from outside: it does what a processor would (QEMU softmmu/qtest.c). QEMU ends itself
 * for a number that it cannot read, so what is sent is made here and nowhere else. Once QEMU is gone, or answers what it should
 * not, every command throws {@link DeviceError} `ERR_DEVICE_LOST`.
 */
export class QtestConnection {
  readonly #socket: UnixSocket;
  readonly #options: QtestOptions;
  readonly #received: Uint8Array = new Uint8Array(LONGEST_LINE);
  #length = 0;
  #lost: string | undefined;
  /** Commands whose answers were not taken yet, in their order. */
  readonly #posted: string[] = [];

  /** Owns `socket`. */
  constructor(socket: UnixSocket, options: QtestOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  /** Throws where the connection is lost. */
  check(): void {
    if (this.#lost === undefined) return;
    const words = this.#options.lastWords();
    const printed = words === '' ? '' : `; it printed: ${words}`;
    throw new DeviceError('ERR_DEVICE_LOST', `QEMU is gone: ${this.#lost}${printed}`, {
      hint: 'run the profile again; the end of what QEMU printed says more',
    });
  }

  /**
   * Sends a command without an answer of interest, such as `writel 0xfed90018 0x1`, and goes on, as a processor does that writes to a
   * device: whether it was done is seen with the next answer that somebody waits for. QEMU does one command after the other.
   */
  post(line: string): void {
    this.send(line);
    this.#posted.push(line);
    if (this.#posted.length === MOST_POSTED) this.#settle();
  }

  /** Sends a command that reads a number. */
  number(line: string): number {
    const answer = this.ask(line);
    const value = /^0x[0-9a-f]{1,16}$/.test(answer) ? Number(answer) : Number.NaN;
    if (!Number.isSafeInteger(value)) this.#lose(`it answered ${JSON.stringify(answer)} to ${line}`);
    return value;
  }

  /** Sends a command that reads 64 bits, into `words[0]` (low) and `words[1]` (high). */
  number64(line: string, words: Uint32Array): void {
    const answer = this.ask(line);
    if (!/^0x[0-9a-f]{16}$/.test(answer)) this.#lose(`it answered ${JSON.stringify(answer)} to ${line}`);
    words[0] = Number(`0x${answer.slice(10)}`);
    words[1] = Number(answer.slice(0, 10));
  }

  /** Sends a command and returns what follows `OK`, without waiting any longer than the reply timeout. */
  ask(line: string): string {
    this.send(line);
    this.#settle();
    return this.answer(line);
  }

  /** Sends a command alone; {@link answer} has to follow before the next. */
  send(line: string): void {
    this.check();
    const sent = this.#socket.send(Buffer.from(`${line}\n`), [], this.#options.replyTimeoutMs);
    if (sent !== 'done') this.#lose(sent === 'closed' ? 'it closed the connection' : `it does not take ${line}`);
  }

  /** Whether an answer, or an end, is there to be read. */
  get hasAnswer(): boolean {
    return this.#length > 0 || this.#socket.isReadable();
  }

  /** What follows `OK` in the answer to a command that was sent. */
  answer(line: string, timeoutMs: number = this.#options.replyTimeoutMs): string {
    const deadline = performance.now() + timeoutMs;
    for (let reports = 0; reports < MOST_REPORTS; reports++) {
      const answer = this.#line(line, deadline, timeoutMs);
      if (answer === 'OK') return '';
      if (answer.startsWith('OK ')) return answer.slice(3);
      if (!/^IRQ (raise|lower) \d+$/.test(answer)) this.#lose(`it answered ${JSON.stringify(answer)} to ${line}`);
    }
    return this.#lose(`it reports interrupts and does not answer ${line}`);
  }

  /** Ends it: nothing is asked any more. */
  dispose(): void {
    this.#lost ??= 'the connection was closed';
    this.#socket.dispose();
  }

  /** Takes the answers to what was posted. */
  #settle(): void {
    for (const line of this.#posted) this.answer(line);
    this.#posted.length = 0;
  }

  #line(asked: string, deadline: number, timeoutMs: number): string {
    for (;;) {
      const end = this.#received.subarray(0, this.#length).indexOf(0x0a);
      if (end >= 0) {
        const line = Buffer.from(this.#received.subarray(0, end)).toString('latin1').trim();
        this.#received.copyWithin(0, end + 1, this.#length);
        this.#length -= end + 1;
        return line;
      }
      if (this.#length === LONGEST_LINE) this.#lose(`it answered more than a line to ${asked}`);
      const result = this.#socket.receiveSome(this.#received.subarray(this.#length), deadline - performance.now());
      if (result === 'closed') this.#lose('it closed the connection');
      if (result === 'timeout') this.#lose(`it did not answer ${asked} in ${timeoutMs} ms`);
      this.#length += result;
    }
  }

  #lose(reason: string): never {
    this.#lost ??= reason;
    this.check();
    throw new TypeError('a lost connection is one that throws');
  }
}

/** A number as the protocol takes it. */
export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
