import { setImmediate, setTimeout } from 'node:timers/promises';
import type {
  BenchBuffer,
  ConfigTable,
  ConformBench,
  ConformRing,
  Framing,
  GoodRequest,
  LaidOutRequest,
  NotificationSource,
  OfferedDevice,
  ReturnedBuffer,
  StartOptions,
} from '@virtio-platform/core';
import {
  DeviceStatus,
  greetDevice,
  nap,
  readDeviceStatus,
  resetDevice,
  startDevice,
  statusNames,
  type Transport,
  type WaitResult,
} from '@virtio-platform/core/device';
import {
  FeatureSet,
  type FeatureTable,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SUSPEND,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import type { QueueLayout } from '@virtio-platform/core/queue';
import type { BootedSubject } from '../device/booted-subject.ts';
import { CaseEnd } from './case-end.ts';
import { CaseVerdicts } from './case-verdicts.ts';
import { RawPackedRing } from './raw-packed-ring.ts';
import type { RawRing, RingSetting } from './raw-ring.ts';
import { RawSplitRing } from './raw-split-ring.ts';
import { layOutRequest, wrongInReturned } from './request-layout.ts';

/** Ring features that a case has only where it asks for them. */
const ASKED_FOR = FeatureSet.of(
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SUSPEND,
);
/** Entries of a queue unless a case says how many. */
const DEFAULT_SIZE = 16;
/** Milliseconds for which one look at the device blocks this thread. */
const SLICE_MS = 1;
/** Between two looks at a source of notifications. */
const NAP_MS = 0.2;
/** A case that lasts longer lets timers and signals run. */
const BREATH_MS = 20;
/** More notifications than a device has reason to send between two looks. */
const MOST_NOTIFICATIONS = 10_000;

/** The bench of one case: see {@link ConformBench}. */
export class CaseBench extends CaseVerdicts implements ConformBench {
  readonly device: OfferedDevice;
  readonly featureTable: FeatureTable;
  readonly configTable: ConfigTable;
  readonly layout: QueueLayout;
  readonly transport: Transport;
  readonly nowhere: readonly (readonly [number, number])[];
  readonly #subject: BootedSubject;
  readonly #isHostile: boolean;
  readonly #rings = new Map<number, RawRing>();
  #accepted = FeatureSet.EMPTY;
  #notifications = 0;
  #isAttended = false;
  #source: NotificationSource | undefined;
  #breathedAt = performance.now();

  /** What a hostile driver lent is not taken back: it may have lent it twice. */
  constructor(subject: BootedSubject, layout: QueueLayout, isHostile = false) {
    super();
    this.#subject = subject;
    this.#isHostile = isHostile;
    this.device = subject.offered;
    this.featureTable = subject.type.features;
    this.configTable = subject.type.config;
    this.layout = layout;
    this.transport = subject.machine.transport;
    const { size } = subject.machine.memory;
    // Behind memory, in the middle of nowhere, and at the end of the 64-bit addresses.
    this.nowhere = [
      [size >>> 0, Math.floor(size / 2 ** 32) + (subject.isPhysical ? 0 : 0x40_0000)],
      [0xffff_f000, 0x7fff_ffff],
      [0xffff_f000, 0xffff_ffff],
    ];
  }

  /** Resets the device, whatever it was left with, and takes all memory back. */
  async begin(milliseconds: number = this.#subject.patienceMs): Promise<void> {
    await this.#reset(milliseconds);
    this.#subject.memory.renew();
  }

  get accepted(): FeatureSet {
    return this.#accepted;
  }

  async start(options: StartOptions = {}): Promise<ConformRing> {
    const { transport } = this;
    const { size = DEFAULT_SIZE, isHeld = false, layout = this.layout } = options;
    await this.reset();
    this.#isAttended = options.isUnattended !== true;
    greetDevice(transport);
    this.#accepted = options.features ?? this.#chooseFeatures(options.with ?? [], layout);
    transport.writeDriverFeatures(this.#accepted);
    transport.writeStatus(readDeviceStatus(transport) | DeviceStatus.FeaturesOk);
    const status = readDeviceStatus(transport);
    if ((status & DeviceStatus.FeaturesOk) === 0)
      this.fail(`the device cleared FEATURES_OK (status ${statusNames(status)}) for ${this.#acceptedNames()}`);
    this.#subject.receiveMessages();
    this.#rings.clear();
    const queues = options.queues ?? this.#queues;
    for (const index of queues) {
      const wanted = typeof size === 'number' ? size : size(index);
      const ring = this.#openRing(index, Math.min(wanted, transport.maxQueueSize(index)), layout);
      const told = options.addresses?.(ring.addresses) ?? ring.addresses;
      // The device writes where it is told that its area is.
      this.#subject.memory.grant(told.words[4]!, told.words[5]!, ring.deviceArea.length);
      transport.enableQueue(index, told);
      this.#source?.enabled(index);
      await setImmediate();
    }
    if (!isHeld) this.go();
    return this.ring(queues[0]);
  }

  go(): void {
    startDevice(this.transport);
    this.drain();
    this.#attend();
  }

  async reset(): Promise<void> {
    await this.#reset(this.#subject.patienceMs);
  }

  get enabled(): readonly number[] {
    return [...this.#rings.keys()];
  }

  ring(queue: number = this.#queues[0]!): ConformRing {
    const ring = this.#rings.get(queue);
    if (ring === undefined) throw new TypeError(`queue ${queue} is not enabled`);
    return ring;
  }

  renewRing(queue: number, size?: number): ConformRing {
    const { size: before, layout } = this.ring(queue);
    this.#rings.get(queue)?.end();
    const ring = this.#openRing(queue, Math.min(size ?? before, this.transport.maxQueueSize(queue)), layout);
    this.transport.enableQueue(queue, ring.addresses);
    this.#source?.enabled(queue);
    return ring;
  }

  /** The rings that are enabled, in a few lines each. */
  inspect(): readonly string[] {
    return [...this.#rings.values()].flatMap((ring) => ring.inspect());
  }

  allocate(name: string, bytes: number, alignment = 16): BenchBuffer {
    return this.#subject.memory.allocate(name, bytes, alignment);
  }

  layOut(n = 0, framing?: Framing): LaidOutRequest {
    return this.layOutRequest(this.#subject.request(n, this), framing);
  }

  requestOn(queue: number, n: number): GoodRequest | undefined {
    const { requestOn } = this.#subject.cases;
    const usual = this.#subject.request(n, this);
    if (requestOn !== undefined) return requestOn(queue, usual, this);
    return queue === usual.queue ? usual : undefined;
  }

  lend({ address, length }: BenchBuffer): void {
    this.#subject.memory.giveAway(address, length);
  }

  layOutRequest(request: GoodRequest, framing?: Framing): LaidOutRequest {
    return layOutRequest(this.#subject.memory, request, framing);
  }

  async serve(laid: LaidOutRequest, framing: Framing = {}, ring?: ConformRing): Promise<ReturnedBuffer> {
    const on = ring ?? this.ring(laid.request.queue);
    const { indirect = false } = framing;
    const id = on.give(laid.segments, { indirect });
    return await this.takeBack(laid, on, id);
  }

  async takeBack(laid: LaidOutRequest, ring: ConformRing, id?: number): Promise<ReturnedBuffer> {
    const returned = await ring.takeNext();
    this.#checkReturned(id ?? returned.id, returned, laid, ring);
    return returned;
  }

  async serveMany(count: number, depth: number, framing: (n: number) => Framing = () => ({})): Promise<void> {
    const waiting = new Map<number, { readonly laid: LaidOutRequest; readonly ring: ConformRing }>();
    for (let n = 0; n < count;) {
      const batch = Math.min(depth, count - n);
      let ring: ConformRing | undefined;
      for (let i = 0; i < batch; i++, n++) {
        const how = framing(n);
        const laid = this.layOut(n, how);
        ring = this.ring(laid.request.queue);
        waiting.set(ring.add(laid.segments, { indirect: how.indirect ?? false }), { laid, ring });
      }
      ring!.publish();
      ring!.kick();
      while (waiting.size > 0) {
        const returned = await ring!.takeNext();
        const request = waiting.get(returned.id);
        if (request === undefined) this.fail(`the device returned buffer ${returned.id}, which it did not have`);
        waiting.delete(returned.id);
        this.#checkReturned(returned.id, returned, request.laid, request.ring);
      }
      await this.#breathe();
    }
  }

  async until(what: string, isDone: () => boolean, milliseconds: number = this.#subject.patienceMs): Promise<void> {
    const deadline = performance.now() + milliseconds;
    for (;;) {
      if (isDone()) return;
      const left = deadline - performance.now();
      if (left <= 0) throw new CaseEnd('hang', `the device did not ${what} in ${milliseconds} ms`, 'wedged');
      await this.#look(Math.min(left, SLICE_MS));
    }
  }

  async settle(milliseconds: number = this.#subject.settleMs): Promise<void> {
    const deadline = performance.now() + milliseconds;
    for (let left = milliseconds; left > 0; left = deadline - performance.now()) {
      await this.#look(Math.min(left, SLICE_MS));
    }
  }

  async notified(milliseconds: number = this.#subject.patienceMs): Promise<boolean> {
    const deadline = performance.now() + milliseconds;
    for (;;) {
      await this.#look(0);
      if (this.#notifications > 0) {
        this.#notifications = 0;
        return true;
      }
      const left = deadline - performance.now();
      if (left <= 0) return false;
      await this.#look(Math.min(left, SLICE_MS));
    }
  }

  drain(): void {
    for (let i = 0; i < MOST_NOTIFICATIONS && this.#wait(0) === 'notified'; i++);
    this.#notifications = 0;
  }

  receiveBy(source: NotificationSource): void {
    this.#source = source;
  }

  asksForReset(): boolean {
    return (readDeviceStatus(this.transport) & DeviceStatus.NeedsReset) !== 0;
  }

  /** Fails where the device asked for memory that it was not given, since there were so many refusals. */
  checkAccesses(refusals: number): void {
    // A device in another thread tells of them here.
    this.#wait(0);
    const refused = this.#subject.refusedSince(refusals);
    if (refused !== undefined) throw refused;
  }

  async #reset(milliseconds: number): Promise<void> {
    await setImmediate();
    resetDevice(this.transport, milliseconds);
    for (const ring of this.#rings.values()) ring.end();
    this.#rings.clear();
    this.drain();
  }

  #checkReturned(id: number, returned: ReturnedBuffer, laid: LaidOutRequest, ring: ConformRing): void {
    const wrong = wrongInReturned(id, returned, laid, ring);
    if (wrong !== undefined) this.fail(wrong);
  }

  #openRing(index: number, size: number, layout: QueueLayout): RawRing {
    const { transport } = this;
    const setting: RingSetting = {
      index,
      size,
      eventIdx: this.#accepted.has(VIRTIO_RING_F_EVENT_IDX),
      inOrder: this.#accepted.has(VIRTIO_F_IN_ORDER),
      wholeUsedElements: transport.wholeUsedElements === true,
      unmarkedLengths: transport.unmarkedLengths === true,
      takesBack: !this.#isHostile,
      notify: (queue, next) => transport.notify(queue, next),
      until: (what, isDone, milliseconds) => this.until(what, isDone, milliseconds),
    };
    const { memory } = this.#subject;
    const ring = layout === 'packed' ? new RawPackedRing(memory, setting) : new RawSplitRing(memory, setting);
    this.#rings.set(index, ring);
    return ring;
  }

  #chooseFeatures(asked: readonly number[], layout: QueueLayout): FeatureSet {
    const { acceptable } = this.device;
    const plain = acceptable.minus(ASKED_FOR);
    const packed = layout === 'packed' ? [VIRTIO_F_RING_PACKED] : [];
    return [...packed, ...asked].reduce((set, bit) => (acceptable.has(bit) ? set.with(bit) : set), plain);
  }

  #acceptedNames(): string {
    return this.#accepted.names(this.#subject.type.features).join(', ');
  }

  /** Waits for the device for a short time, and lets timers and signals run. */
  async #look(milliseconds: number): Promise<void> {
    this.#attend();
    const before = performance.now();
    const result = this.#wait(milliseconds);
    if (result === 'notified') this.#notifications++;
    if (result === 'lost') throw new CaseEnd('gone', 'the device is gone', 'crash');
    // A device in this thread works in timers; its transport does not wait.
    if (milliseconds >= 1 && performance.now() - before < 1) await setTimeout(1);
    else await this.#breathe();
  }

  #wait(milliseconds: number): WaitResult {
    const source = this.#source;
    if (source === undefined) return this.transport.wait(milliseconds);
    const deadline = performance.now() + milliseconds;
    for (;;) {
      if (source.take()) return 'notified';
      // A device that is gone throws here.
      this.transport.readStatus();
      if (performance.now() >= deadline) return 'timeout';
      nap(NAP_MS);
    }
  }

  get #queues(): readonly number[] {
    const { queues } = this.#subject.cases;
    return typeof queues === 'function' ? queues(this) : queues;
  }

  #attend(): void {
    if (this.#isAttended && this.#rings.size > 0) this.#subject.cases.attend?.(this);
  }

  async #breathe(): Promise<void> {
    if (performance.now() - this.#breathedAt < BREATH_MS) return;
    await setImmediate();
    this.#breathedAt = performance.now();
  }
}
