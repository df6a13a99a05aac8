import { DeviceError } from '@virtio-platform/core';
import type { UnixSocket } from '@virtio-platform/host';

/** Bytes of the longest line. No answer to a command of this package is longer. */
const LONGEST_LINE = 4096;
/** The largest number of interrupt reports before an answer. */
const MOST_REPORTS = 1000;
/** The largest number of posted commands without an answer, so that the sockets of both sides never fill up. */
const MOST_POSTED = 64;

/** The timeout of a {@link QtestConnection}, and the output of QEMU for its messages. */
export interface QtestOptions {
  readonly replyTimeoutMs: number;
  /** The end of QEMU's error output. */
  readonly stderrTail: () => string;
}

/**
 * The line protocol that drives QEMU from outside: each command is an access that a processor would make (QEMU
 * softmmu/qtest.c). QEMU aborts on a number that it cannot parse, so only this package makes the commands. After QEMU
 * has ended, or after an answer that violates the protocol, every command throws {@link DeviceError} `ERR_DEVICE_LOST`.
 */
export class QtestConnection {
  readonly #socket: UnixSocket;
  readonly #options: QtestOptions;
  readonly #received: Uint8Array = new Uint8Array(LONGEST_LINE);
  #length = 0;
  #lost: string | undefined;
  /** Commands whose answers were not received yet, in their order. */
  readonly #posted: string[] = [];

  /** Takes over `socket`, and disposes of it. */
  constructor(socket: UnixSocket, options: QtestOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  /** Throws {@link DeviceError} `ERR_DEVICE_LOST` where the connection is lost. */
  check(): void {
    if (this.#lost === undefined) return;
    const tail = this.#options.stderrTail();
    const printed = tail === '' ? '' : `; it printed: ${tail}`;
    throw new DeviceError('ERR_DEVICE_LOST', `QEMU is gone: ${this.#lost}${printed}`, {
      hint: 'run the profile again; the end of the output of QEMU may show the reason',
    });
  }

  /**
   * Sends a command without waiting for its answer, such as `writel 0xfed90018 0x1`, as a processor posts a write to a
   * device. The next command that waits for an answer checks this answer too. QEMU executes the commands in their
   * order.
   */
  post(line: string): void {
    this.send(line);
    this.#posted.push(line);
    if (this.#posted.length === MOST_POSTED) this.#settle();
  }

  /** Sends a command that returns a number of at most `bytes` bytes, and returns the number. */
  number(line: string, bytes = 8): number {
    const answer = this.ask(line);
    const value = /^0x[0-9a-f]{1,16}$/.test(answer) ? Number(answer) : Number.NaN;
    if (!Number.isSafeInteger(value) || value >= 2 ** (8 * bytes))
      this.#lose(`it answered ${JSON.stringify(answer)} to ${line}`);
    return value;
  }

  /** Sends a command that returns 64 bits, and stores them in `words[0]` (low) and `words[1]` (high). */
  number64(line: string, words: Uint32Array): void {
    const answer = this.ask(line);
    if (!/^0x[0-9a-f]{16}$/.test(answer)) this.#lose(`it answered ${JSON.stringify(answer)} to ${line}`);
    words[0] = Number(`0x${answer.slice(10)}`);
    words[1] = Number(answer.slice(0, 10));
  }

  /** Posts a write of 64 bits in one access. */
  post64(address: number, low: number, high: number): void {
    const value = `${(high >>> 0).toString(16)}${(low >>> 0).toString(16).padStart(8, '0')}`;
    this.post(`writeq ${hex(address)} 0x${value}`);
  }

  /** Sends a command and returns the text behind `OK`. Waits for the reply timeout at most. */
  ask(line: string): string {
    this.send(line);
    this.#settle();
    return this.answer(line);
  }

  /** Sends a command only. The caller has to call {@link answer} before the next command. */
  send(line: string): void {
    this.check();
    const sent = this.#socket.send(Buffer.from(`${line}\n`), [], this.#options.replyTimeoutMs);
    if (sent !== 'done') this.#lose(sent === 'closed' ? 'it closed the connection' : `it does not accept ${line}`);
  }

  /** Whether bytes of an answer, or the end of the connection, can be received. */
  get hasAnswer(): boolean {
    return this.#length > 0 || this.#socket.isReadable();
  }

  /** The text behind `OK` in the answer to a command that was sent. */
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

  /** Closes the connection. Every later command throws. */
  dispose(): void {
    this.#lost ??= 'the connection was closed';
    this.#socket.dispose();
  }

  /** Receives the answers to the posted commands. */
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
    throw new TypeError('check() throws for a lost connection');
  }
}

/** A number in the notation of the protocol. */
export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
