import type { MismatchKind, WorkDone, Workload, WorkloadContext } from '@virtio-platform/core';
import { VIRTIO_CONSOLE_F_MULTIPORT, VIRTIO_CONSOLE_F_SIZE } from './console-features.ts';
import { MismatchLog, NO_BUFFER, Random } from '@virtio-platform/device-kit';
import { ChangeWatch } from './change-watch.ts';
import type { ConsoleDriver } from './console-driver.ts';
import type { ConsoleEvent } from './console-events.ts';
import type { ConsoleSettings } from './console-settings.ts';
import { PortStream, type StreamMismatch, StreamPattern } from './port-stream.ts';

/** The options of the workload `mixed`. */
export interface MixedConsoleOptions {
  /** Bytes of the longest message. */
  readonly blockSize: number;
  /** The part of the operations that close a port, 0 to 1; it is opened again a few rounds later. */
  readonly closes: number;
  /** The part of the operations that write an emergency character, 0 to 1. */
  readonly emergencies: number;
}

/** Rounds for which a port stays closed at most. */
const MOST_CLOSED = 6;
/** One of so many rounds leaves what came to a port where it is. */
const READS_IN = 4;
/** Printable ASCII. */
const FIRST_CHARACTER = 0x21;
const CHARACTERS = 94;

/**
 * Random messages on all ports of a console that gives back what it is sent, against a model of each: ports are read
 * now and then, closed and opened, come, go and change their size as the device says, and emergency characters come
 * back through the console. A request is a message or an emergency character that came back as it was sent. What was on
 * its way when a port went is sent again on another, and counts as repeated.
 */
export class MixedConsole implements Workload {
  readonly #context: WorkloadContext<ConsoleSettings, MixedConsoleOptions>;
  readonly #driver: ConsoleDriver;
  readonly #random: Random;
  readonly #pattern: StreamPattern;
  readonly #watch: ChangeWatch;
  readonly #canClose: boolean;
  readonly #canWriteEmergency: boolean;
  readonly #mismatches: MismatchLog;
  readonly #received: Uint8Array;
  #streams: PortStream[] = [];
  #streamCount = 0;
  /** Requests that are complete or on their way, and those that are complete. */
  #made = 0;
  #completed = 0;
  #repeated = 0;
  #bytes = 0;
  #violations = 0;

  constructor(driver: ConsoleDriver, context: WorkloadContext<ConsoleSettings, MixedConsoleOptions>) {
    const { seed, options, settings, accepted } = context;
    this.#context = context;
    this.#mismatches = new MismatchLog(context.loop);
    this.#driver = driver;
    this.#random = new Random(seed);
    this.#pattern = new StreamPattern(seed, options.blockSize);
    this.#received = new Uint8Array(options.blockSize);
    this.#canClose = accepted.has(VIRTIO_CONSOLE_F_MULTIPORT);
    this.#watch = new ChangeWatch(settings, {
      hasControl: this.#canClose,
      hasSize: accepted.has(VIRTIO_CONSOLE_F_SIZE),
    });
    // Which console gives a character back cannot be told while one comes or goes.
    this.#canWriteEmergency = settings.changes.every(
      ({ add, remove, close, open }) => add?.console !== true && !isConsole(settings, remove ?? close ?? open),
    );
  }

  get done(): WorkDone {
    const mismatches = this.#mismatches.report;
    return { requests: this.#completed, bytes: 2 * this.#bytes, repeated: this.#repeated, mismatches };
  }

  async run(): Promise<void> {
    const { requests, loop } = this.#context;
    for (const port of this.#driver.ports) this.#streams.push(this.#streamOf(port));
    while (this.#completed < requests || !this.#watch.isCaughtUp(requests)) {
      let progress = this.#hear();
      progress += this.#open();
      progress += this.#make();
      loop.disrupt(this.#completed);
      for (const stream of this.#streams) progress += stream.port.flush() + this.#read(stream);
      // What was left must not be waited for.
      if (progress === 0) for (const stream of this.#streams) progress += this.#readOnce(stream);
      await loop.turn(progress, Math.min(this.#completed, requests));
    }
  }

  /** Hears what the device says of its ports. */
  #hear(): number {
    const events = this.#driver.poll();
    for (const event of events) this.#follow(event);
    const { count, first } = this.#driver.violations;
    if (count > this.#violations) {
      this.#violations = count;
      this.#note('unexpected', 'control message', first!);
    }
    return events.length;
  }

  #follow(event: ConsoleEvent): void {
    if (event.kind === 'failed') throw event.error;
    const { kind, port } = event;
    const wrong = this.#watch.see(event);
    if (wrong !== undefined) this.#note('unexpected', `port ${port.id}`, wrong);
    if (kind === 'added') {
      port.open();
      this.#streams.push(this.#streamOf(port));
    } else if (kind === 'removed' || kind === 'closed') {
      const stream = this.#streams.find((each) => each.port === port);
      if (stream !== undefined) this.#lose(stream, kind === 'removed');
    }
  }

  /** What came before a port went is compared; the rest was on its way, and is sent again elsewhere. */
  #lose(stream: PortStream, isGone: boolean): void {
    while (this.#readOnce(stream) > 0);
    if (stream.pending > 0) {
      const lost = stream.forfeit();
      this.#made -= lost;
      this.#repeated += lost;
    }
    if (isGone) this.#streams = this.#streams.filter((each) => each !== stream);
  }

  #streamOf(port: PortStream['port']): PortStream {
    return new PortStream(port, this.#streamCount++, this.#pattern);
  }

  /** Opens ports that were closed for long enough. */
  #open(): number {
    let opened = 0;
    for (const stream of this.#streams) {
      if (stream.closedFor === 0 || --stream.closedFor > 0) continue;
      stream.port.open();
      opened++;
    }
    // A round in which a port is closed is no round without progress.
    return opened + this.#streams.filter(({ closedFor }) => closedFor > 0).length;
  }

  /** Makes as many requests as may be on their way. Returns how many. */
  #make(): number {
    const { requests, depth, loop } = this.#context;
    const before = this.#made;
    const usable = this.#streams.filter(({ isReady }) => isReady);
    let reason = 0;
    // A port that takes no more, or is closed now, is left alone for this round.
    while (usable.length > 0 && this.#made < requests && this.#made - this.#completed < depth) {
      const at = this.#random.below(usable.length);
      const stream = usable[at]!;
      this.#operate(stream);
      const result = stream.isReady ? stream.send() : NO_BUFFER;
      if (result === 0) this.#made++;
      else {
        usable.splice(at, 1);
        if (result !== NO_BUFFER) reason = result;
      }
    }
    if (reason < 0 && this.#isIdle()) loop.failedToAdd(reason);
    return this.#made - before;
  }

  /** Closes a port, or writes an emergency character, now and then, where nothing of the port is on its way. */
  #operate(stream: PortStream): void {
    if (stream.pending > 0) return;
    const { closes, emergencies } = this.#context.options;
    const draw = this.#random.next() / 2 ** 32;
    if (draw < closes) {
      if (!this.#canClose) return;
      stream.port.close();
      stream.closedFor = 1 + this.#random.below(MOST_CLOSED);
    } else if (draw < closes + emergencies && this.#isOnlyConsole(stream)) {
      const character = FIRST_CHARACTER + this.#random.below(CHARACTERS);
      if (!this.#driver.writeEmergency(character)) return;
      stream.expectEmergency(character);
      this.#made++;
    }
  }

  #isOnlyConsole({ port }: PortStream): boolean {
    return (
      this.#canWriteEmergency && port.isConsole && this.#streams.filter((each) => each.port.isConsole).length === 1
    );
  }

  /** Whether nothing is with the device that could come back: what it has are idle receive buffers. */
  #isIdle(): boolean {
    return this.#streams.every(({ port, pending }) => port.inFlight === 0 && pending === 0);
  }

  /** Reads what came to a port, but not in each round. Returns how much that was. */
  #read(stream: PortStream): number {
    if (this.#random.below(READS_IN) === 0) return 0;
    let came = 0;
    for (let left = 1 + this.#random.below(READS_IN); left > 0; left--) {
      const length = this.#readOnce(stream);
      if (length === 0) break;
      came++;
    }
    return came;
  }

  /** Takes one piece. Returns its bytes: 0 for none. */
  #readOnce(stream: PortStream): number {
    const length = stream.port.receive(this.#received);
    if (length === 0 || stream.isRetired) return length;
    const { completed, bytes, mismatch } = stream.check(this.#received, length);
    this.#completed += completed;
    this.#bytes += bytes;
    if (mismatch !== undefined) this.#noteOf(stream, mismatch);
    return length;
  }

  #noteOf({ port }: PortStream, { kind, what, detail, difference }: StreamMismatch): void {
    this.#note(kind, what, detail, port.receiveQueue, difference);
  }

  #note(
    kind: MismatchKind,
    what: string,
    detail: string,
    queue = 0,
    difference: StreamMismatch['difference'] = null,
  ): void {
    const place = { queue, buffer: null, address: null, deviceAddress: null };
    const facts = { what, detail, difference, status: null, used: null };
    this.#mismatches.note(kind, () => ({ request: this.#completed + 1, ...facts, ...place }));
  }
}

/** Whether the settings say that a port is a console, from the start or later. */
function isConsole({ ports, changes }: ConsoleSettings, id: number | undefined): boolean {
  return [...ports, ...changes.map(({ add }) => add)].some((port) => port?.id === id && port?.console === true);
}
