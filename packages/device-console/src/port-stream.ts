import type { Mismatch, MismatchKind } from '@virtio-platform/core';
import { fillPattern, findDifference, hexadecimal } from '@virtio-platform/device-kit';
import type { ConsolePort } from './console-port.ts';

/** What is wrong with the bytes of a stream. */
export interface StreamMismatch {
  readonly kind: MismatchKind;
  readonly what: string;
  readonly detail: string;
  readonly difference: NonNullable<Mismatch['difference']> | null;
}

/** What a piece of a stream completed. */
export interface StreamProgress {
  /** Messages and emergency characters that came back whole, and their bytes. */
  readonly completed: number;
  readonly bytes: number;
  readonly mismatch: StreamMismatch | undefined;
}

/** The bytes of the messages of a workload: made again for each, and the same for all streams of one. */
export class StreamPattern {
  /** The message that was made last. */
  readonly message: Uint8Array;
  readonly #words: Uint32Array;
  readonly #seed: number;
  readonly #most: number;

  /** Messages of 1 to `most` bytes. */
  constructor(seed: number, most: number) {
    this.#words = new Uint32Array(Math.ceil(most / 4));
    this.message = new Uint8Array(this.#words.buffer);
    this.#seed = seed;
    this.#most = most;
  }

  /** Makes message `number` of a stream, and returns its length, which follows from its own first bytes. Hot. */
  make(stream: number, number: number): number {
    fillPattern(this.#words, 0, this.#words.byteLength, this.#seed, number, stream);
    return 1 + (this.#words[0]! % this.#most);
  }
}

/**
 * The model of one port of a console that gives back what it is sent: the messages that have to come back, as one
 * stream, in order.
 */
export class PortStream {
  readonly port: ConsolePort;
  /** No other stream of the run has it. */
  readonly index: number;
  /** Rounds after which a port that the workload closed is opened again. */
  closedFor = 0;
  /** Whether the port lost what was on its way, so that what comes cannot be told. */
  isRetired = false;
  readonly #pattern: StreamPattern;
  #sent = 0;
  #returned = 0;
  /** The emergency character that has to come back; -1 for none. */
  #emergency = -1;
  /** Bytes of the message that is coming back, and the first of them that is wrong. */
  #offset = 0;
  #difference: StreamMismatch['difference'] = null;

  constructor(port: ConsolePort, index: number, pattern: StreamPattern) {
    this.port = port;
    this.index = index;
    this.#pattern = pattern;
  }

  /**
   * Whether a message may be sent: the port is open, and no emergency character is on its way, whose place among
   * messages could not be told.
   */
  get isReady(): boolean {
    return this.port.isOpen && !this.isRetired && this.#emergency < 0;
  }

  /** Messages and emergency characters that did not come back yet. */
  get pending(): number {
    return this.#sent - this.#returned + (this.#emergency < 0 ? 0 : 1);
  }

  /** Sends the next message. Returns as {@link ConsolePort.send}. Hot. */
  send(): number {
    const length = this.#pattern.make(this.index, this.#sent);
    const reason = this.port.send(this.#pattern.message, length);
    if (reason === 0) this.#sent++;
    return reason;
  }

  /** This character has to come back next. Only while nothing is pending. */
  expectEmergency(character: number): void {
    this.#emergency = character;
  }

  /** Gives up what is pending: the port is gone. Returns how much it was. */
  forfeit(): number {
    const { pending } = this;
    this.#returned = this.#sent;
    this.#emergency = -1;
    this.isRetired = true;
    return pending;
  }

  /** Compares what came, `length` bytes of `received`, with what has to come. */
  check(received: Uint8Array, length: number): StreamProgress {
    let [completed, bytes] = [0, 0];
    let mismatch: StreamMismatch | undefined;
    for (let done = 0; done < length;) {
      if (this.#emergency >= 0) {
        const [expected, actual] = [this.#emergency, received[done++]!];
        this.#emergency = -1;
        completed++;
        if (actual === expected) bytes++;
        else mismatch ??= this.#wrong('emergency character', { offset: 0, expected, actual });
        continue;
      }
      if (this.#returned >= this.#sent) {
        const detail = `${length - done} bytes came that were never sent`;
        mismatch ??= { kind: 'unexpected', what: this.#place('the stream'), detail, difference: null };
        break;
      }
      const sent = this.#pattern.make(this.index, this.#returned);
      const run = Math.min(length - done, sent - this.#offset);
      this.#difference ??= this.#firstDifference(received, done, run);
      done += run;
      this.#offset += run;
      if (this.#offset < sent) continue;
      if (this.#difference === null) bytes += sent;
      else mismatch ??= this.#wrong(`message ${this.#returned}`, this.#difference);
      this.#returned++;
      completed++;
      this.#offset = 0;
      this.#difference = null;
    }
    return { completed, bytes, mismatch };
  }

  #wrong(what: string, difference: NonNullable<StreamMismatch['difference']>): StreamMismatch {
    const { offset, expected, actual } = difference;
    const detail = `byte ${offset} is ${hexadecimal(actual)} instead of ${hexadecimal(expected)}`;
    return { kind: 'data', what: this.#place(what), detail, difference };
  }

  #place(what: string): string {
    return `${what} of port ${this.port.id}`;
  }

  /** The first byte of what came, from `at` on, that the message does not have. Hot. */
  #firstDifference(received: Uint8Array, at: number, length: number): StreamMismatch['difference'] {
    const { message } = this.#pattern;
    for (let i = 0; i < length; i++) {
      const actual = received[at + i]!;
      const expected = message[this.#offset + i]!;
      if (actual === expected) continue;
      const wanted = message.subarray(this.#offset, this.#offset + length);
      return findDifference(wanted, received.subarray(at, at + length), this.#offset) ?? null;
    }
    return null;
  }
}
