import { setImmediate } from 'node:timers/promises';
import type {
  BenchBuffer,
  ConfigTable,
  ConformRing,
  DeviceTypePlugin,
  Framing,
  LaidOutRequest,
} from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_RING_PACKED, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import type { QueueLayout } from '@virtio-platform/core/queue';
import { PollEvents, PollSet } from '@virtio-platform/host';
import { CaseEnd } from '../bench/case-end.ts';
import { CaseVerdicts } from '../bench/case-verdicts.ts';
import { RawPackedRing } from '../bench/raw-packed-ring.ts';
import type { RawRing, RingSetting } from '../bench/raw-ring.ts';
import { RawSplitRing } from '../bench/raw-split-ring.ts';
import { layOutRequest, wrongInReturned } from '../bench/request-layout.ts';
import { Doorbell } from './doorbell.ts';
import { connectTo, FrontEnd } from './front-end.ts';
import { USER_BASE, type FrontEndMemory } from './front-end-memory.ts';
import { payloadOf, tablePayload, type Region } from './payload.ts';
import type { ProtocolOffer } from './protocol-offer.ts';
import { RenewedBench } from './renewed-bench.ts';
import {
  HAS_PROTOCOL_FEATURES,
  PROTOCOL_FEATURES,
  RING_LOG,
  type ProtocolFeature,
  type RequestName,
} from './requests.ts';

/** What a bench is made with. */
export interface ProtocolBenchOptions {
  readonly type: DeviceTypePlugin;
  readonly layout: QueueLayout;
  readonly memory: FrontEndMemory;
  readonly offer: ProtocolOffer;
  /** The path of the back-end's socket; starts the back-end again where it ended. */
  readonly listening: () => Promise<string>;
  readonly patienceMs: number;
  readonly settleMs: number;
}

/** How a front-end opens the conversation. */
export interface Greeting {
  /** Protocol features to accept where they are offered. Default: MQ, REPLY_ACK, CONFIG. */
  readonly accept?: readonly ProtocolFeature[];
  /** Features to accept beside VERSION_1, the layout, and that of the protocol features. */
  readonly with?: readonly number[];
  /** Leaves the feature of the protocol features out of SET_FEATURES: rings start enabled. */
  readonly isPlain?: boolean;
}

/** How a queue is set up. */
export interface QueueSetUp {
  readonly size?: number;
  /** Where the ring starts; its beginning unless given. */
  readonly start?: number;
}

/** One message that sets up a queue. */
export interface QueueMessage {
  readonly request: RequestName;
  readonly payload: Uint8Array;
  readonly descriptors: readonly number[];
}

/** A front-end that follows the rules, as far as nothing else is said. */
export interface StartOptions extends Greeting, QueueSetUp {
  readonly regions?: readonly Region[];
  /** Leaves the queues disabled. */
  readonly isHeld?: boolean;
}

const DEFAULT_ACCEPT: readonly ProtocolFeature[] = ['MQ', 'REPLY_ACK', 'CONFIG'];
const DEFAULT_SIZE = 16;
/** Position of a ring that has served nothing: index 0; slot 0 with both wrap counters 1. */
const FIRST_BASE = { split: 0, packed: 0x8000_8000 } as const;
const SLICE_MS = 1;
/** Entries of the poll set. */
const CONNECTION = 0;
const CALL = 1;
const BACK_CHANNEL = 2;

/** A front-end whose back-end reaches memory by I/O virtual addresses, and asks what they are. */
export interface Translation {
  /** The I/O virtual address of the guest address 0. */
  readonly base: bigint;
  /** Readable where the back-end asks. */
  readonly descriptor: number;
  /** Answers what the back-end asked, without waiting. */
  readonly pump: () => void;
}

/** The bench of one case of the protocol: a connection, memory that is watched, rings, and bounded waits. */
export class ProtocolBench extends CaseVerdicts {
  readonly layout: QueueLayout;
  readonly offer: ProtocolOffer;
  readonly memory: FrontEndMemory;
  readonly patienceMs: number;
  readonly #options: ProtocolBenchOptions;
  readonly #rings = new Map<number, RawRing>();
  readonly #kicks = new Map<number, Doorbell>();
  readonly #calls = new Map<number, Doorbell>();
  readonly #doorbells: Doorbell[] = [];
  readonly #ends: FrontEnd[] = [];
  readonly #poll: PollSet = new PollSet(3);
  #frontEnd: FrontEnd | undefined;
  #acknowledges = false;
  #accepted = FeatureSet.EMPTY;
  #notifications = 0;
  #translation: Translation | undefined;
  #requests = new RenewedBench(this);

  constructor(options: ProtocolBenchOptions) {
    super();
    this.#options = options;
    this.layout = options.layout;
    this.offer = options.offer;
    this.memory = options.memory;
    this.patienceMs = options.patienceMs;
    this.memory.watched.renew();
  }

  /** The queue of the device type's requests, and all that have to be set up for it. */
  get queue(): number {
    return this.request(0).queue;
  }

  get queues(): readonly number[] {
    const { queues } = this.#options.type.cases!;
    return typeof queues === 'function' ? queues(this) : queues;
  }

  /** The configuration fields of the device type. */
  get configTable(): ConfigTable {
    return this.#options.type.config;
  }

  /** The device features that were accepted on this connection. */
  get accepted(): FeatureSet {
    return this.#accepted;
  }

  /** Whether commands are acknowledged: REPLY_ACK was accepted. */
  get acknowledges(): boolean {
    return this.#acknowledges;
  }

  /** The connection that is open. */
  get frontEnd(): FrontEnd {
    if (this.#frontEnd === undefined) throw new TypeError('there is no connection');
    return this.#frontEnd;
  }

  /** Closes the connection, and opens another one, on which nothing was said yet. */
  async connect(): Promise<FrontEnd> {
    this.disconnect();
    return (this.#frontEnd = await this.connectBeside());
  }

  /** Opens a connection beside the one that is open. The bench closes it. */
  async connectBeside(): Promise<FrontEnd> {
    const frontEnd = new FrontEnd(await connectTo(this.#options.listening, this.patienceMs), this.patienceMs);
    this.#ends.push(frontEnd);
    return frontEnd;
  }

  /** From here on rings and buffers have I/O virtual addresses, until the connection is closed. */
  translate(translation: Translation): void {
    this.#translation = translation;
    this.frontEnd.meanwhile = translation.pump;
    this.#poll.set(BACK_CHANNEL, translation.descriptor, PollEvents.Readable);
  }

  /** Looks at the back channel no more: it is closed. */
  endBackChannel(): void {
    this.#poll.unset(BACK_CHANNEL);
  }

  /** Rings and buffers have the addresses that they have without ACCESS_PLATFORM. */
  untranslate(): void {
    this.#translation = undefined;
    if (this.#frontEnd !== undefined) this.#frontEnd.meanwhile = undefined;
    this.endBackChannel();
  }

  /** Closes the connection. The back-end keeps what it was sent, until it notices. */
  disconnect(): void {
    this.#frontEnd?.dispose();
    this.#frontEnd = undefined;
    this.untranslate();
    this.#acknowledges = false;
    this.#accepted = FeatureSet.EMPTY;
  }

  /** Opens the conversation: features, protocol features, owner. */
  greet({ accept = DEFAULT_ACCEPT, with: more = [], isPlain = false }: Greeting = {}): void {
    const { frontEnd } = this;
    const features = new FeatureSet(frontEnd.askU64('GET_FEATURES'));
    let wanted = FeatureSet.of(VIRTIO_F_VERSION_1, ...more);
    if (this.layout === 'packed') wanted = wanted.with(VIRTIO_F_RING_PACKED);
    if (!isPlain && features.has(HAS_PROTOCOL_FEATURES)) {
      const offered = new FeatureSet(frontEnd.askU64('GET_PROTOCOL_FEATURES'));
      const taken = accept.map((name) => PROTOCOL_FEATURES[name]).filter((bit) => offered.has(bit));
      frontEnd.send('SET_PROTOCOL_FEATURES', payloadOf(FeatureSet.of(...taken).bits));
      this.#acknowledges = taken.includes(PROTOCOL_FEATURES.REPLY_ACK);
      wanted = wanted.with(HAS_PROTOCOL_FEATURES);
    }
    this.#accepted = wanted;
    this.tell('SET_OWNER');
    this.tell('SET_FEATURES', payloadOf(wanted.bits));
  }

  /** Sends a command that follows the rules; one that is refused fails the case. */
  tell(request: RequestName, payload?: Uint8Array, descriptors: readonly number[] = []): void {
    if (!this.#acknowledges) return this.frontEnd.send(request, payload, { descriptors });
    const answer = this.frontEnd.acknowledged(request, payload, descriptors);
    if (answer !== 0n) this.fail(`it answered ${answer} to ${request}, which follows the rules`);
  }

  /** Sends a command that does not, and takes the acknowledgement, where there is one, whatever it says. */
  defy(request: RequestName | number, payload?: Uint8Array, descriptors: readonly number[] = []): bigint | undefined {
    if (this.#acknowledges) return this.frontEnd.acknowledged(request, payload, descriptors);
    this.frontEnd.send(request, payload, { descriptors });
    return undefined;
  }

  /** Shares memory: all of it in one region unless given. */
  share(regions: readonly Region[] = [this.memory.region()]): void {
    this.tell(
      'SET_MEM_TABLE',
      tablePayload(regions),
      regions.map(() => this.memory.descriptor),
    );
  }

  /** Lays out the ring of a queue, and returns the messages that set it up, in the order of most front-ends. */
  prepare(queue: number = this.queue, { size = DEFAULT_SIZE, start }: QueueSetUp = {}): readonly QueueMessage[] {
    const ring = this.#openRing(queue, size, start);
    const low = payloadOf(BigInt(queue));
    const [kick, call] = [this.#ofQueue(this.#kicks, queue), this.#ofQueue(this.#calls, queue)];
    if (queue === this.queue) this.#poll.set(CALL, call.descriptor, PollEvents.Readable);
    const base = start ?? FIRST_BASE[this.layout];
    return [
      { request: 'SET_VRING_NUM', payload: payloadOf(queue, size), descriptors: [] },
      { request: 'SET_VRING_BASE', payload: payloadOf(queue, base), descriptors: [] },
      { request: 'SET_VRING_ADDR', payload: this.addressPayload(ring), descriptors: [] },
      { request: 'SET_VRING_KICK', payload: low, descriptors: [kick.descriptor] },
      { request: 'SET_VRING_CALL', payload: low, descriptors: [call.descriptor] },
    ];
  }

  /**
   * The payload of SET_VRING_ADDR for a ring: user addresses, or I/O virtual addresses of a back-end that translates;
   * with `log` the flag of its dirty log, and the guest address that its used ring has there.
   */
  addressPayload({ index, descriptorArea, deviceArea, driverArea }: ConformRing, log?: bigint): Uint8Array {
    const base = this.#translation?.base ?? USER_BASE;
    const [descriptor, device, driver] = [descriptorArea, deviceArea, driverArea].map(({ address }) => BigInt(address));
    const flags = log === undefined ? 0 : RING_LOG;
    return payloadOf(index, flags, base + descriptor!, base + device!, base + driver!, log ?? 0n);
  }

  /** Sends messages of {@link prepare}. */
  tellAll(messages: readonly QueueMessage[]): void {
    for (const { request, payload, descriptors } of messages) this.tell(request, payload, descriptors);
  }

  enable(queue: number, isEnabled = true): void {
    this.tell('SET_VRING_ENABLE', payloadOf(queue, isEnabled ? 1 : 0));
  }

  /** Opens the conversation, shares memory, and sets up and enables the queues. Returns the ring of requests. */
  start(options: StartOptions = {}): ConformRing {
    this.greet(options);
    this.share(options.regions);
    return this.startQueues(options);
  }

  /** Sets up and enables the queues. Returns the ring of requests. */
  startQueues({ size, start, isHeld = false, isPlain = false }: StartOptions = {}): ConformRing {
    const of = (queue: number): QueueSetUp => ({
      ...(size !== undefined && { size }),
      ...(start !== undefined && queue === this.queue && { start }),
    });
    for (const queue of this.queues) this.tellAll(this.prepare(queue, of(queue)));
    if (!isPlain && !isHeld) for (const queue of this.queues) this.enable(queue);
    this.drain();
    return this.ring();
  }

  /** Stops a queue. Returns where it stopped: an index, or the slot with its wrap counter. */
  stop(queue: number = this.queue): number {
    const answer = this.frontEnd.ask('GET_VRING_BASE', payloadOf(queue, 0), 8);
    if (answer.getUint32(0, true) !== queue) this.fail(`it answered for queue ${answer.getUint32(0, true)}`);
    return answer.getUint32(4, true);
  }

  ring(queue: number = this.queue): ConformRing {
    const ring = this.#rings.get(queue);
    if (ring === undefined) throw new TypeError(`queue ${queue} is not set up`);
    return ring;
  }

  /** The descriptor by which a queue is kicked, and the one by which it notifies. */
  kickOf(queue: number = this.queue): Doorbell {
    return this.#ofQueue(this.#kicks, queue);
  }

  callOf(queue: number = this.queue): Doorbell {
    return this.#ofQueue(this.#calls, queue);
  }

  /** An event counter of a case. The bench closes it. */
  doorbell(): Doorbell {
    const doorbell = new Doorbell();
    this.#doorbells.push(doorbell);
    return doorbell;
  }

  /** Has the driver kick by another descriptor, or wait for notifications at it. */
  replace(what: 'kick' | 'call', queue: number = this.queue): Doorbell {
    const doorbell = this.doorbell();
    (what === 'kick' ? this.#kicks : this.#calls).set(queue, doorbell);
    if (what === 'call' && queue === this.queue) this.#poll.set(CALL, doorbell.descriptor, PollEvents.Readable);
    return doorbell;
  }

  allocate(name: string, bytes: number, alignment?: number): BenchBuffer {
    return this.memory.watched.allocate(name, bytes, alignment);
  }

  /**
   * Takes back all buffers: the back-end has none of the rings any more. It answers on the new connection first: until
   * then it may still be busy with the one before, of which it does not know that it ended.
   */
  renewMemory(): void {
    this.synchronise();
    this.memory.watched.renew();
    this.#requests = new RenewedBench(this);
  }

  /** Lets the device write to a buffer at any time. */
  lend({ address, length }: BenchBuffer): void {
    this.memory.watched.mayWrite(address, length);
  }

  /** Request number `n` of the device type: one that needs nothing to be found. */
  request(n: number): LaidOutRequest['request'] {
    return this.#options.type.cases!.unprepared(n, this.#requests);
  }

  layOut(n = 0, framing?: Framing): LaidOutRequest {
    const laid = layOutRequest(this.memory.watched, this.request(n), framing);
    const { base } = this.#translation ?? {};
    if (base === undefined) return laid;
    return { ...laid, segments: laid.segments.map((each) => ({ ...each, buffer: movedBy(each.buffer, base) })) };
  }

  /** Gives requests to the device, one after the other, and checks what comes back. */
  async serve(count = 1): Promise<void> {
    for (let n = 0; n < count; n++) {
      const laid = this.layOut(n);
      const ring = this.ring(laid.request.queue);
      await this.takeBack(laid, ring, ring.give(laid.segments));
    }
  }

  /** Waits until a request comes back, and checks it. */
  async takeBack(laid: LaidOutRequest, ring: ConformRing, id: number): Promise<void> {
    const wrong = wrongInReturned(id, await ring.takeNext(), laid, ring);
    if (wrong !== undefined) this.fail(wrong);
  }

  /** Waits until `isDone`; a back-end that never gets there hangs. `what` completes "the device did not ...". */
  async until(what: string, isDone: () => boolean, milliseconds: number = this.patienceMs): Promise<void> {
    const deadline = performance.now() + milliseconds;
    for (;;) {
      if (isDone()) return;
      if (performance.now() > deadline)
        throw new CaseEnd('hang', `the device did not ${what} in ${milliseconds} ms`, 'wedged');
      await this.#look();
    }
  }

  /** Lets the back-end do what it does, for a short time. */
  async settle(milliseconds: number = this.#options.settleMs): Promise<void> {
    const deadline = performance.now() + milliseconds;
    while (performance.now() < deadline) await this.#look();
  }

  /** Waits for a notification of the queue of requests; returns whether there was one. */
  async notified(): Promise<boolean> {
    const deadline = performance.now() + this.patienceMs;
    while (this.#notifications === 0 && performance.now() < deadline) await this.#look();
    const wasNotified = this.#notifications > 0;
    this.#notifications = 0;
    return wasNotified;
  }

  /** Takes the notifications that are pending. */
  drain(): void {
    for (const call of this.#calls.values()) call.drain();
    this.#notifications = 0;
  }

  async breathe(): Promise<void> {
    await setImmediate();
  }

  /** Waits until the back-end has executed what it was sent: it answers in the order of the messages. */
  synchronise(): void {
    this.frontEnd.askU64('GET_FEATURES');
  }

  /** The same where the back-end may have answered what has no answer. */
  outlast(): void {
    this.frontEnd.send('GET_FEATURES');
    this.frontEnd.skipTo('GET_FEATURES');
  }

  inspect(): readonly string[] {
    return [...this.#rings.values()].flatMap((ring) => ring.inspect());
  }

  /** Closes all connections and descriptors. */
  dispose(): void {
    this.#frontEnd = undefined;
    for (const frontEnd of this.#ends) frontEnd.dispose();
    for (const doorbell of this.#doorbells) doorbell.dispose();
    this.#poll.dispose();
  }

  #ofQueue(doorbells: Map<number, Doorbell>, queue: number): Doorbell {
    const doorbell = doorbells.get(queue) ?? this.doorbell();
    doorbells.set(queue, doorbell);
    return doorbell;
  }

  #openRing(index: number, size: number, start: number | undefined): RawRing {
    const setting: RingSetting = {
      index,
      size,
      eventIdx: false,
      inOrder: false,
      // A ring's own position has no counter of the used side.
      ...(start !== undefined && { start: start & 0xffff }),
      wholeUsedElements: false,
      notify: (queue) => this.kickOf(queue).ring(),
      until: (what, isDone, milliseconds) => this.until(what, isDone, milliseconds),
    };
    const { watched } = this.memory;
    const ring = this.layout === 'packed' ? new RawPackedRing(watched, setting) : new RawSplitRing(watched, setting);
    this.#rings.set(index, ring);
    return ring;
  }

  /** Waits a moment for a notification or the end of the connection, and lets timers and signals run. */
  async #look(): Promise<void> {
    if (this.#frontEnd === undefined) this.#poll.unset(CONNECTION);
    else this.#poll.set(CONNECTION, this.#frontEnd.descriptor, PollEvents.PeerClosed);
    if (this.#poll.wait(SLICE_MS)) {
      if (this.#translation !== undefined && this.#poll.events(BACK_CHANNEL) !== 0) this.#translation.pump();
      if (this.#frontEnd !== undefined && this.#poll.events(CONNECTION) !== 0)
        throw new CaseEnd('gone', 'the back-end closed the connection', 'crash');
      this.#notifications += this.#calls.get(this.queue)?.drain() ?? 0;
    }
    await this.breathe();
  }
}

/** The same buffer at another device address. */
function movedBy(buffer: BenchBuffer, by: bigint): BenchBuffer {
  const address = BigInt(buffer.high) * (1n << 32n) + BigInt(buffer.low) + by;
  return { ...buffer, low: Number(address & 0xffff_ffffn), high: Number(address >> 32n) };
}
