import type { Mismatch, MismatchKind, WorkDone, Workload, WorkloadContext } from '@virtio-platform/core';
import { NO_BUFFER } from './buffer-slots.ts';
import type { MessageDriver, MessageLink } from './message-link.ts';
import { findDifference, hexadecimal, MismatchLog } from './mismatch-log.ts';
import { fillPattern } from './pattern.ts';

/** The options of the workloads `echo` and `stream`. */
export interface EchoOptions {
  /** Bytes of each message, of a stream of the longest. */
  readonly blockSize: number;
}

type Difference = NonNullable<Mismatch['difference']>;

/** Messages that came back before, among which one that comes a second time is looked for. */
const REMEMBERED = 64;
/**
 * Sends patterns on every link of a driver and verifies that each link gives back exactly what was sent there, in
 * order: as whole messages where the link keeps them apart, as one stream otherwise. A request is a message there and
 * back. An `echo` has messages of one length, a `stream` of every length up to it.
 */
export class Echo implements Workload {
  readonly #context: WorkloadContext<unknown, EchoOptions>;
  readonly #driver: MessageDriver;
  /** Bytes of the shortest message. */
  readonly #least: number;
  /** What comes or goes just now. */
  readonly #words: Uint32Array;
  readonly #message: Uint8Array;
  readonly #received: Uint8Array;
  #links: readonly LinkProgress[] = [];
  #completed = 0;
  readonly #mismatches: MismatchLog;
  #bytes = 0;

  /** `least`: bytes of the shortest message. */
  constructor(driver: MessageDriver, context: WorkloadContext<unknown, EchoOptions>, least: number) {
    const { blockSize } = context.options;
    this.#context = context;
    this.#mismatches = new MismatchLog(context.loop);
    this.#driver = driver;
    this.#least = least;
    this.#words = new Uint32Array(Math.ceil(blockSize / 4));
    this.#message = new Uint8Array(this.#words.buffer);
    // One byte more than a message, to see one that is longer.
    this.#received = new Uint8Array(blockSize + 1);
  }

  get done(): WorkDone {
    const mismatches = this.#mismatches.report;
    return { requests: this.#completed, bytes: 2 * this.#bytes, repeated: 0, mismatches };
  }

  async run(): Promise<void> {
    const driver = this.#driver;
    const { loop, requests, depth } = this.#context;
    while (!driver.isConnected) await loop.turn(driver.connect(), 0);
    this.#links = driver.links.map((link, index) => new LinkProgress(link, index));
    const most = Math.max(1, Math.floor(depth / this.#links.length));
    for (let sent = 0; this.#completed < requests;) {
      let progress = 0;
      loop.disrupt(this.#completed);
      for (const link of this.#links) {
        while (sent < requests && link.sent - link.returned < most && this.#send(link)) sent++;
        progress += link.link.flush() + this.#receive(link);
      }
      await loop.turn(progress, this.#completed);
    }
  }

  #send(link: LinkProgress): boolean {
    const reason = link.link.send(this.#message, this.#fill(link, link.sent));
    if (reason === 0) link.sent++;
    else if (reason !== NO_BUFFER && this.#isIdle) this.#context.loop.failedToAdd(reason);
    return reason === 0;
  }

  /** Whether nothing is with the device that could come back: what it has are idle receive buffers. */
  get #isIdle(): boolean {
    return this.#links.every(({ link, sent, returned }) => link.inFlight === 0 && sent <= returned);
  }

  /** Takes everything that came, and returns how much that was. */
  #receive(link: LinkProgress): number {
    let came = 0;
    for (let length = link.link.receive(this.#received); length > 0; length = link.link.receive(this.#received)) {
      came++;
      if (link.link.isFramed) this.#checkMessage(link, length);
      else this.#checkStream(link, length);
    }
    return came;
  }

  #checkMessage(link: LinkProgress, length: number): void {
    if (this.#matches(link, link.returned, length)) return this.#complete(link, length);
    const sent = link.returned < link.sent ? this.#fill(link, link.returned) : -1;
    const later = this.#find(link, length, link.returned + 1, link.sent);
    if (later >= 0) {
      while (link.returned < later) this.#lose(link, later);
      return this.#complete(link, length);
    }
    const earlier = this.#find(link, length, Math.max(0, link.returned - REMEMBERED), link.returned);
    if (earlier >= 0) return this.#note(link, 'unexpected', earlier, 'came a second time');
    if (sent < 0) return this.#note(link, 'unexpected', link.returned, `of ${length} bytes came and was never sent`);
    if (length === sent) this.#noteData(link, this.#firstDifference(0, 0, length));
    else this.#note(link, 'length', link.returned, `came back with ${length} bytes instead of ${sent}`);
    this.#advance(link);
  }

  /** A piece of the stream may hold the end of one message and the start of the next. */
  #checkStream(link: LinkProgress, length: number): void {
    for (let done = 0; done < length;) {
      if (link.returned >= link.sent) {
        this.#note(link, 'unexpected', link.returned, `${length - done} bytes came that were never sent`);
        return;
      }
      const sent = this.#fill(link, link.returned);
      const run = Math.min(length - done, sent - link.offset);
      link.difference ??= this.#firstDifference(done, link.offset, run);
      done += run;
      link.offset += run;
      if (link.offset < sent) continue;
      if (link.difference === undefined) this.#complete(link, sent);
      else {
        this.#noteData(link, link.difference);
        this.#advance(link);
      }
    }
  }

  /** Whether what was received is message `number`, which was sent. */
  #matches(link: LinkProgress, number: number, length: number): boolean {
    if (number >= link.sent || length !== this.#fill(link, number)) return false;
    return this.#firstDifference(0, 0, length) === undefined;
  }

  /** The first message from `from` to before `to` that what was received is; -1 for none. */
  #find(link: LinkProgress, length: number, from: number, to: number): number {
    for (let number = from; number < to; number++) if (this.#matches(link, number, length)) return number;
    return -1;
  }

  #lose(link: LinkProgress, later: number): void {
    this.#note(link, 'lost', link.returned, `did not come back: ${this.#name(link)} ${later} came in its place`);
    this.#advance(link);
  }

  #complete(link: LinkProgress, length: number): void {
    this.#bytes += length;
    this.#advance(link);
  }

  #advance(link: LinkProgress): void {
    link.returned++;
    link.offset = 0;
    link.difference = undefined;
    this.#completed++;
  }

  #noteData(link: LinkProgress, difference: Difference | undefined): void {
    const { offset, expected, actual } = difference!;
    const detail = `byte ${offset} is ${hexadecimal(actual)} instead of ${hexadecimal(expected)}`;
    this.#note(link, 'data', link.returned, detail, difference);
  }

  #note(link: LinkProgress, kind: MismatchKind, number: number, detail: string, difference?: Difference): void {
    const place = { queue: link.link.receiveQueue, buffer: null, address: null, deviceAddress: null };
    const what = `${this.#name(link)} ${number}${this.#links.length > 1 ? ` of link ${link.index}` : ''}`;
    const facts = { what, detail, difference: difference ?? null, status: null, used: null };
    this.#mismatches.note(kind, () => ({ request: this.#completed + 1, ...facts, ...place }));
  }

  #name(link: LinkProgress): string {
    return link.link.isFramed ? 'frame' : 'message';
  }

  /** Makes a message again and returns its length. The length of one in a stream follows from its own first bytes. */
  #fill(link: LinkProgress, message: number): number {
    const { kind, seed, options } = this.#context;
    const { blockSize } = options;
    fillPattern(this.#words, 0, this.#words.byteLength, seed, message, link.index);
    if (kind === 'echo') return blockSize;
    return this.#least + (this.#words[0]! % (blockSize - this.#least + 1));
  }

  /** The first byte of what was received, from `at` on, that is not the one of the message from `offset` on. Hot. */
  #firstDifference(at: number, offset: number, length: number): Difference | undefined {
    for (let i = 0; i < length; i++) {
      const actual = this.#received[at + i]!;
      const expected = this.#message[offset + i]!;
      if (actual === expected) continue;
      const came = this.#received.subarray(at, at + length);
      return findDifference(this.#message.subarray(offset, offset + length), came, offset);
    }
    return undefined;
  }
}

/** How far one link is. */
class LinkProgress {
  readonly link: MessageLink;
  readonly index: number;
  /** Messages. */
  sent = 0;
  returned = 0;
  /** Bytes of the message that is coming back, and the first of them that is wrong. */
  offset = 0;
  difference: Difference | undefined;

  constructor(link: MessageLink, index: number) {
    this.link = link;
    this.index = index;
  }
}
