import { type MismatchKind, type WorkDone, type Workload, type WorkloadContext } from '@virtio-platform/core';
import { MismatchLog, NO_BUFFER, Random } from '@virtio-platform/device-kit';
import { VIRTIO_NET_OK } from '../layout.ts';
import type { NetDriver } from '../net-driver.ts';
import type { NetLink } from '../net-link.ts';
import type { NetSettings } from '../net-settings.ts';
import { PacketLayers } from '../offload/packet-layers.ts';
import { FrameCheck, type FrameFault } from './frame-check.ts';
import { NetModel, type ExpectedHash } from './net-model.ts';
import { RandomCommands, type ModelCommand } from './random-commands.ts';
import { RandomFrames } from './random-frames.ts';
import { numberAt, shapeOf, writeFrame, type TestFrame } from './test-frame.ts';

/** The options of the workload `mixed`. */
export interface MixedOptions {
  /** Bytes of the longest frame that is given to the device. */
  readonly blockSize: number;
  /** How often a command comes before the next frames, 0 to 1. */
  readonly commands: number;
}

/** What a workload over this driver is made from. */
export type MixedContext = WorkloadContext<NetSettings, MixedOptions>;

/** A frame on its way. */
interface FrameInFlight {
  readonly frame: TestFrame;
  /** Pairs on which it was sent, and has to come back. */
  readonly sentOn: number;
  readonly comesOn: number;
  readonly hash: ExpectedHash;
  /** Bytes of its data that came back. */
  arrived: number;
}

/** Frames between two commands at most. */
const MOST_FRAMES = 48;
/** The address of a device that has none. */
const NO_ADDRESS = '02:00:00:00:00:01';

/**
 * Random frames and commands against a model of the device: which commands it does and which it refuses, which frames
 * pass its filter, on which pair they come back, with which hash, and finished how. After each group of frames, one on
 * each pair that has to come back shows that none is on its way any more; then only does a command change what is
 * expected.
 */
export class MixedWork implements Workload {
  readonly #driver: NetDriver;
  readonly #context: MixedContext;
  readonly #random: Random;
  readonly #model: NetModel;
  readonly #frames: RandomFrames;
  readonly #commands: RandomCommands;
  readonly #check: FrameCheck;
  readonly #message: Uint8Array;
  readonly #received: Uint8Array;
  readonly #layers: PacketLayers = new PacketLayers();
  readonly #inFlight: Map<number, FrameInFlight> = new Map();
  /** Frames that the filter has to drop, and frames that a link that went down may have lost, by number. */
  readonly #filtered: Set<number> = new Set();
  readonly #maybeLost: Map<number, FrameInFlight> = new Map();
  readonly #mismatches: MismatchLog;
  #malformed = 0;
  #completed = 0;
  #bytes = 0;

  constructor(driver: NetDriver, context: MixedContext) {
    const { accepted, options, seed, byteOrder } = context;
    this.#driver = driver;
    this.#context = context;
    this.#mismatches = new MismatchLog(context.loop);
    this.#random = new Random(seed);
    this.#model = new NetModel(driver.mac ?? NO_ADDRESS, accepted);
    this.#message = new Uint8Array(options.blockSize);
    // One byte more than a frame, to see one that is longer.
    this.#received = new Uint8Array(options.blockSize + 1);
    this.#check = new FrameCheck(seed, options.blockSize + 1);
    this.#frames = new RandomFrames(this.#random, {
      longest: options.blockSize,
      mtu: driver.mtu ?? Infinity,
      accepted,
    });
    this.#commands = new RandomCommands(this.#random, {
      accepted,
      littleEndian: byteOrder === 'little',
      pairs: driver.pairs.length,
      config: driver.config,
    });
  }

  get done(): WorkDone {
    const mismatches = this.#mismatches.report;
    return { requests: this.#completed, bytes: this.#bytes, repeated: 0, mismatches };
  }

  async run(): Promise<void> {
    const driver = this.#driver;
    const { loop, requests, options } = this.#context;
    while (!driver.isConnected) await loop.turn(driver.connect(), 0);
    while (this.#completed < requests) {
      if (driver.hasControl && this.#random.next() / 2 ** 32 < options.commands)
        await this.#sendCommand(this.#commands.any());
      else if (this.#frames.passing(this.#model.filter) === undefined)
        await this.#sendCommand(this.#commands.passAll());
      else await this.#exchange(this.#group());
    }
  }

  /** The frames of a group: any, then one on each pair that has to come back. */
  #group(): readonly FrameInFlight[] {
    const { filter } = this.#model;
    const pairs = this.#driver.links.length;
    const left = this.#context.requests - this.#completed;
    const any = Math.min(this.#random.below(MOST_FRAMES), Math.max(0, left - pairs));
    const drawn = Array.from({ length: any }, () =>
      this.#driver.takeAnnouncement() ? this.#frames.announcement(filter.own) : this.#frames.any(filter.own),
    );
    const group = drawn.map((frame) => this.#expect(frame, frame.flow % pairs));
    for (let pair = 0; pair < Math.min(pairs, left); pair++)
      group.push(this.#expect(this.#frames.passing(filter)!, pair));
    return group;
  }

  #expect(frame: TestFrame, sentOn: number): FrameInFlight {
    const comesOn = this.#model.pairOf(frame, sentOn);
    return { frame, sentOn, comesOn, hash: this.#model.hashOf(frame), arrived: 0 };
  }

  /** Sends a group, and takes back all of it that has to come. */
  async #exchange(group: readonly FrameInFlight[]): Promise<void> {
    const { loop, depth } = this.#context;
    const { pairs } = this.#driver;
    let sent = 0;
    while (sent < group.length || this.#inFlight.size > 0) {
      let progress = 0;
      loop.disrupt(this.#completed);
      while (sent < group.length && this.#inFlight.size < depth && this.#send(group[sent]!)) sent++;
      for (let i = 0; i < pairs.length; i++) progress += pairs[i]!.flush() + this.#receive(pairs[i]!, i);
      await loop.turn(progress, this.#completed);
      if (!this.#driver.isLinkUp) sent += await this.#waitForLink();
    }
    // The frames behind them came back, so these were dropped.
    this.#completed += this.#filtered.size;
    this.#filtered.clear();
  }

  #send(going: FrameInFlight): boolean {
    const { frame, sentOn } = going;
    const { offload } = frame;
    const link = this.#driver.pairs[sentOn]!;
    const length = writeFrame(frame, this.#context.seed, this.#message, offload.flags !== 0);
    const reason = link.send(this.#message, length, offload);
    if (reason === 0) {
      if (this.#model.filter.passes(frame)) this.#inFlight.set(frame.number, going);
      else this.#filtered.add(frame.number);
      this.#bytes += length;
    } else if (reason !== NO_BUFFER && this.#inFlight.size === 0 && link.inFlight === 0)
      this.#context.loop.failedToAdd(reason);
    return reason === 0;
  }

  /** Takes everything that came on one pair, and returns how much that was. */
  #receive(link: NetLink, pair: number): number {
    let came = 0;
    for (let length = link.receive(this.#received); length > 0; length = link.receive(this.#received)) {
      came++;
      this.#take(link, pair, length);
    }
    for (; this.#malformed < this.#countMalformed(); this.#malformed++)
      this.#note('data', pair, 'a frame', 'has a header that breaks the rules (virtio 1.4 §5.1.6.4.1)');
    return came;
  }

  #countMalformed(): number {
    return this.#driver.pairs.reduce((sum, { malformed }) => sum + malformed, 0);
  }

  #take(link: NetLink, pair: number, length: number): void {
    const number = this.#numberIn(length);
    const going = this.#inFlight.get(number) ?? this.#maybeLost.get(number);
    if (going === undefined) return this.#noteStranger(pair, number, length);
    const { frame, sentOn, comesOn, hash } = going;
    if (comesOn !== pair)
      this.#note('unexpected', pair, this.#name(going), `came on pair ${pair} instead of ${comesOn}`);
    const { fault, data } = this.#check.check(frame, this.#received, length, link.header, going.arrived);
    if (fault !== undefined) this.#noteFault(pair, going, fault);
    else if (link.header.hashValue !== hash.value || link.header.hashReport !== hash.report) {
      const seen = `hash ${link.header.hashValue} of type ${link.header.hashReport}`;
      this.#note('data', pair, this.#name(going), `has ${seen} instead of ${hash.value} of type ${hash.report}`);
    }
    going.arrived += data;
    this.#bytes += length;
    if (going.arrived < frame.data) return;
    this.#loseBefore(number, sentOn, comesOn);
    if (this.#inFlight.delete(number)) this.#completed++;
    this.#maybeLost.delete(number);
  }

  /** The number of the frame that came, or -1. */
  #numberIn(length: number): number {
    const layers = this.#layers;
    layers.read(this.#received, length);
    // A frame of this workload that is not IP has its data right behind the type, or behind an announcement.
    const isRarp = this.#received[layers.network - 2] === 0x80;
    const at = layers.version === 0 && isRarp ? layers.payload + 28 : layers.payload;
    return at + 4 <= length ? numberAt(this.#received, at) : -1;
  }

  /** Frames of one pair come back on one pair in the order in which they were sent. */
  #loseBefore(number: number, sentOn: number, comesOn: number): void {
    for (const [other, going] of this.#inFlight) {
      if (other >= number || going.sentOn !== sentOn || going.comesOn !== comesOn) continue;
      this.#note('lost', comesOn, this.#name(going), `did not come back: frame ${number} came in its place`);
      this.#inFlight.delete(other);
      this.#completed++;
    }
  }

  /**
   * The link is down: what is on its way may be lost. Waits until it is up again. Returns how many more frames count as
   * sent: none.
   */
  async #waitForLink(): Promise<number> {
    const { loop } = this.#context;
    for (const [number, going] of this.#inFlight) this.#maybeLost.set(number, going);
    this.#completed += this.#inFlight.size;
    this.#inFlight.clear();
    while (!this.#driver.isLinkUp) {
      loop.disrupt(this.#completed);
      await loop.turn(0, this.#completed);
    }
    return 0;
  }

  /** Sends one command, and compares the answer with what the model says. */
  async #sendCommand({ command, name, isRight, apply }: ModelCommand): Promise<void> {
    const { loop } = this.#context;
    const driver = this.#driver;
    for (let reason = driver.begin(command); reason !== 0; reason = driver.begin(command)) {
      loop.disrupt(this.#completed);
      // The acknowledgement of an announcement may be under way.
      if (reason === NO_BUFFER) driver.take();
      else loop.failedToAdd(reason);
      await loop.turn(0, this.#completed);
    }
    let answer = driver.take();
    while (answer < 0) {
      loop.disrupt(this.#completed);
      await loop.turn(0, this.#completed);
      answer = driver.take();
    }
    const isDone = answer === VIRTIO_NET_OK;
    if (isDone !== isRight) {
      const detail = `was answered with ${answer} instead of ${isRight ? 0 : 1}`;
      this.#note('status-error', -1, `the command ${name}`, detail, answer);
    }
    if (isDone) apply(this.#model);
    this.#completed++;
    loop.disrupt(this.#completed);
    await loop.turn(1, this.#completed);
  }

  #name({ frame, sentOn }: FrameInFlight): string {
    return `frame ${frame.number} of pair ${sentOn} (${frame.kind}, ${shapeOf(frame).length} bytes)`;
  }

  #noteStranger(pair: number, number: number, length: number): void {
    const isFiltered = this.#filtered.has(number);
    const detail = isFiltered ? 'came back through a filter that has to drop it' : 'came and is not on its way';
    this.#note('unexpected', pair, `a frame of ${length} bytes, number ${number},`, detail);
  }

  #noteFault(pair: number, going: FrameInFlight, { kind, detail, difference }: FrameFault): void {
    this.#note(kind, pair, this.#name(going), detail, null, difference);
  }

  #note(
    kind: MismatchKind,
    pair: number,
    what: string,
    detail: string,
    status: number | null = null,
    difference: FrameFault['difference'] = null,
  ): void {
    const { pairs } = this.#driver;
    const queue = pair < 0 ? 2 * pairs.length : pairs[pair]!.receiveQueue;
    const place = { queue, buffer: null, address: null, deviceAddress: null, used: null };
    this.#mismatches.note(kind, () => ({ request: this.#completed + 1, what, detail, difference, status, ...place }));
  }
}
