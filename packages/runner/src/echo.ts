import { NO_BUFFER, type MessageDriver, type MessageLink } from '@virtio-platform/devices';
import { fillPattern } from './block-pattern.ts';
import type { DriverContext, DriverHalf } from './driver-half.ts';
import type { WorkloadReport } from './report.ts';
import { Disruptions } from './disruptions.ts';
import { WorkLoop } from './work-loop.ts';

/** An Ethernet header: no packet is shorter. */
const SHORTEST_FRAME = 14;

/**
 * Sends patterns on every link of a driver and verifies that each link gives back exactly what was sent there, in
 * order: as whole messages where the link keeps them apart, as one stream otherwise. A request is a message there and
 * back. An `echo` has messages of one length, a `stream` of every length up to it.
 */
export class Echo implements DriverHalf {
  readonly #context: DriverContext;
  readonly #driver: MessageDriver;
  readonly #loop: WorkLoop;
  readonly #disruptions: Disruptions;
  /** What comes or goes just now. */
  readonly #words: Uint32Array;
  readonly #message: Uint8Array;
  readonly #received: Uint8Array;
  #links: readonly LinkProgress[] = [];
  #completed = 0;
  #errors = 0;
  #bytes = 0;

  /** Owns `driver`. */
  constructor(context: DriverContext, driver: MessageDriver) {
    const { blockSize } = context.profile.workload;
    this.#context = context;
    this.#driver = driver;
    this.#loop = new WorkLoop(context);
    this.#disruptions = new Disruptions(context, () => {});
    this.#words = new Uint32Array(Math.ceil(blockSize / 4));
    this.#message = new Uint8Array(this.#words.buffer);
    // One byte more than a message, to see one that is longer.
    this.#received = new Uint8Array(blockSize + 1);
  }

  get report(): WorkloadReport {
    return {
      requests: this.#completed,
      bytes: 2 * this.#bytes,
      errors: this.#errors,
      verified: this.#completed === this.#context.profile.workload.requests && this.#errors === 0,
      interruptions: this.#disruptions.count,
      repeated: 0,
    };
  }

  async run(): Promise<void> {
    const driver = this.#driver;
    while (!driver.isConnected) {
      const progress = driver.connect();
      if (progress < 0) this.#loop.failedToAdd(progress);
      await this.#loop.turn(Math.max(progress, 0), 0);
    }
    const { requests, depth } = this.#context.profile.workload;
    this.#links = driver.links.map((link, index) => new LinkProgress(link, index));
    const most = Math.max(1, Math.floor(depth / this.#links.length));
    for (let sent = 0; this.#completed < requests;) {
      let progress = 0;
      this.#disruptions.check(this.#completed);
      for (const link of this.#links) {
        while (sent < requests && link.sent - link.returned < most && this.#send(link)) sent++;
        progress += link.link.flush() + this.#receive(link);
      }
      await this.#loop.turn(progress, this.#completed);
    }
  }

  dispose(): void {
    this.#driver.dispose();
  }

  #send(link: LinkProgress): boolean {
    const reason = link.link.send(this.#message, this.#fill(link, link.sent));
    if (reason === 0) link.sent++;
    else if (reason !== NO_BUFFER && this.#isIdle()) this.#loop.failedToAdd(reason);
    return reason === 0;
  }

  /** Whether no message is on its way: nothing that comes back could make room. */
  #isIdle(): boolean {
    for (const { link, sent, returned } of this.#links) if (link.inFlight > 0 || sent > returned) return false;
    return true;
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
    const sent = this.#fill(link, link.returned);
    this.#complete(link, sent, length === sent && this.#isSame(0, 0, length));
  }

  /** A piece of the stream may hold the end of one message and the start of the next. */
  #checkStream(link: LinkProgress, length: number): void {
    for (let done = 0; done < length;) {
      const sent = this.#fill(link, link.returned);
      const run = Math.min(length - done, sent - link.offset);
      if (!this.#isSame(done, link.offset, run)) link.isWrong = true;
      done += run;
      link.offset += run;
      if (link.offset === sent) this.#complete(link, sent, !link.isWrong);
    }
  }

  /** A link that gives back more than it was sent is wrong, whatever that is. */
  #complete(link: LinkProgress, length: number, isRight: boolean): void {
    if (!isRight || link.returned >= link.sent) this.#errors++;
    else this.#bytes += length;
    link.returned++;
    link.offset = 0;
    link.isWrong = false;
    this.#completed++;
  }

  /** Makes a message anew and returns its length. The length of one in a stream follows from its own first bytes. */
  #fill(link: LinkProgress, message: number): number {
    const { kind, blockSize, seed } = this.#context.profile.workload;
    fillPattern(this.#words, 0, this.#words.byteLength, seed, message, link.index);
    if (kind === 'echo') return blockSize;
    const least = link.link.isFramed ? SHORTEST_FRAME : 1;
    return least + (this.#words[0]! % (blockSize - least + 1));
  }

  #isSame(at: number, offset: number, length: number): boolean {
    for (let i = 0; i < length; i++) if (this.#received[at + i] !== this.#message[offset + i]) return false;
    return true;
  }
}

/** How far one link is. */
class LinkProgress {
  readonly link: MessageLink;
  readonly index: number;
  /** Messages. */
  sent = 0;
  returned = 0;
  /** Bytes of the message that is coming back, and whether one of them was wrong. */
  offset = 0;
  isWrong = false;

  constructor(link: MessageLink, index: number) {
    this.link = link;
    this.index = index;
  }
}
