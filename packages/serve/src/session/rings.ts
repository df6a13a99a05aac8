import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_RING_PACKED,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import { DESCRIPTOR_SIZE, type QueueLayout } from '@virtio-platform/core/queue';
import { ringAreaBytes, VHOST_USER_F_PROTOCOL_FEATURES } from '@virtio-platform/vhost-user';
import type { ServedDevice } from '../device/served-device.ts';
import { QueueJournal } from '../device/queue-journal.ts';
import type { QueueEnd, RingSetup } from '../device/served-queue.ts';
import { FrontEndViolation } from '../front-end-violation.ts';
import type { InFlightFile } from '../in-flight/in-flight-file.ts';
import type { InFlightRecord, RecoveredQueue } from '../in-flight/in-flight-record.ts';
import type { LoggedAddressSpace } from '../log/logged-address-space.ts';
import { RingLog } from '../log/ring-log.ts';
import type { ServedMemory } from '../memory/served-memory.ts';
import type { ServeEvent } from '../serve-events.ts';
import type { DriverRuleCode } from '../strict/driver-rules.ts';
import { Vring } from './vring.ts';

/** What the rings of a device are made over. */
export interface RingsOptions {
  readonly device: ServedDevice;
  readonly memory: ServedMemory;
  /** Features that the device half is started with, whether they are accepted or not. */
  readonly assumed: FeatureSet;
  /** The device's view of memory with these features. */
  readonly spaceFor: (accepted: FeatureSet) => LoggedAddressSpace;
  /** Whether a record or a log may be kept: the front-end accepted it. */
  readonly isJournaled: () => boolean;
  /** The driver notified so many times of a queue. */
  readonly kicked: (index: number, count: number) => void;
  readonly emit: (event: ServeEvent) => void;
}

/** Where a ring begins that was never used, as SET_VRING_BASE has it. */
const FIRST: Readonly<Record<QueueLayout, number>> = { split: 0, packed: 0x8000_8000 };

/** How the device's end of a ring is opened. */
interface Opening {
  readonly setup: RingSetup;
  /** Whether a device used the ring before. */
  readonly goesOn: boolean;
}
/** Where the addresses of the driver and the device area are among the words of a ring. */
const DRIVER_AREA = 2;
const DEVICE_AREA = 4;
/** Bytes from the start of an available or a used ring to its index. */
const INDEX = 2;
/** Bytes from the start of a packed descriptor to its flags. */
const DESCRIPTOR_FLAGS = 14;

/**
 * The rings as a front-end sets them up, message by message, and the queues of the device that come of it: a queue is
 * open from the moment at which everything of its ring was said and the ring is started and enabled.
 */
export class Rings {
  readonly #options: RingsOptions;
  readonly #vrings: readonly Vring[];
  #accepted: FeatureSet | undefined;
  #space: LoggedAddressSpace | undefined;
  #inFlight: InFlightFile | undefined;
  /** Whether the driver of the device is ready, as far as the front-end tells. */
  #isReady = true;
  #isTold = false;
  /** Whether a ring is enabled of which nothing was said: without protocol features (vhost-user, "Ring states"). */
  #areEnabled = false;

  constructor(options: RingsOptions) {
    this.#options = options;
    this.#vrings = Array.from({ length: options.device.queueCount }, () => new Vring());
  }

  get accepted(): FeatureSet | undefined {
    return this.#accepted;
  }

  /** Whether addresses of rings and buffers are I/O virtual ones, which the front-end translates. */
  get translates(): boolean {
    return this.#accepted?.has(VIRTIO_F_ACCESS_PLATFORM) === true;
  }

  /** Notifications of the driver, and for it. */
  get notifications(): { readonly kicks: number; readonly calls: number } {
    const sum = (of: (vring: Vring) => number): number => this.#vrings.reduce((all, vring) => all + of(vring), 0);
    return { kicks: sum(({ kicks }) => kicks), calls: sum(({ calls }) => calls) };
  }

  /** Takes features, which were offered. Throws {@link FrontEndViolation} while a queue is in use with others. */
  accept(features: FeatureSet): void {
    if (this.#accepted?.equals(features) === true) return;
    this.#endDisabled();
    if (this.#options.device.isInUse) throw new FrontEndViolation('changes the features while queues are in use');
    this.#accepted = features;
    this.#space = this.#options.spaceFor(features);
    this.#isTold = false;
    this.#areEnabled = !features.has(VHOST_USER_F_PROTOCOL_FEATURES);
  }

  /** Says whether the driver is ready, where a front-end tells. A ring that is started says so too. */
  setReady(isReady: boolean): void {
    this.#isReady = isReady;
    if (!isReady) this.#options.device.run(false);
  }

  setSize(index: number, size: number): void {
    const vring = this.#idle(index, 'the size');
    const most = this.#options.device.model.queueSizes[index]!;
    if (size > most) this.#record('DRV-QUEUE-SIZE', index, `${size} entries of ${most} that the device has`);
    if (size > most) throw new FrontEndViolation(`gives queue ${index} ${size} entries: the device takes ${most}`);
    if (size === 0) {
      const text = `gives queue ${index} no entries: it is not served`;
      this.#options.emit({ kind: 'problem', by: 'driver', text });
    }
    vring.size = size;
  }

  setBase(index: number, base: number): void {
    this.#idle(index, 'the position').base = base;
  }

  /** Takes where a ring is, and where its device area is for the log; `undefined` where its writes are not logged. */
  setAreas(index: number, areas: readonly [bigint, bigint, bigint], log: bigint | undefined): void {
    const vring = this.#of(index);
    // A front-end that logs dirty pages says it again while the ring runs.
    if (vring.areas?.every((address, i) => address === areas[i]) !== true)
      this.#idle(index, 'the addresses').areas = areas;
    vring.logArea = log === undefined ? undefined : wordsOf(log);
  }

  /** Takes the record of what is in flight, and owns it; `undefined` for none. Throws while a queue is in use. */
  recordIn(file: InFlightFile | undefined): void {
    this.#endDisabled();
    if (this.#options.device.isInUse) {
      file?.dispose();
      throw new FrontEndViolation('changes the record of what is in flight while queues are in use');
    }
    this.#inFlight?.dispose();
    this.#inFlight = file;
  }

  /** Takes the descriptor over. */
  start(index: number, descriptor: number | undefined): void {
    this.#of(index).start(descriptor, (count) => this.#options.kicked(index, count));
    this.#isReady = true;
  }

  /** Takes the descriptor over. */
  callWith(index: number, descriptor: number | undefined): void {
    this.#of(index).callWith(descriptor);
  }

  /** Takes the descriptor over. */
  reportWith(index: number, descriptor: number | undefined): void {
    this.#of(index).reportWith(descriptor);
  }

  /** Throws {@link FrontEndViolation} for a number of which there is no queue. */
  checkIndex(index: number): void {
    this.#of(index);
  }

  enable(index: number, value: number): void {
    const vring = this.#of(index);
    if (value > 1) throw new FrontEndViolation(`enables queue ${index} with ${value}`);
    vring.isEnabled = value === 1;
    if (value === 0) this.#options.device.enable(index, false);
  }

  /** Stops a ring. Returns where, as GET_VRING_BASE has it. */
  stop(index: number): number {
    const vring = this.#of(index);
    this.#endAt(index, vring);
    vring.stop();
    return vring.base ?? FIRST[this.layout];
  }

  /** Ends and disables all queues. */
  reset(): void {
    for (const [index, vring] of this.#vrings.entries()) {
      this.#end(index);
      vring.isEnabled = false;
      vring.stop();
    }
    this.#options.device.reset();
    this.recordIn(undefined);
  }

  /**
   * Checks the rings for which everything was said by now. Throws {@link FrontEndViolation}, once for what is wrong.
   * Reaches no memory: the front-end has its answer before it is asked for translations.
   */
  check(): void {
    for (const [index, vring] of this.#vrings.entries()) {
      if (!this.#isDue(index, vring)) continue;
      try {
        this.#wordsOf(index, vring);
      } catch (error) {
        vring.areas = undefined;
        throw this.#setUpProblem(index, error);
      }
    }
  }

  /**
   * Opens the queues for which everything was said by now, and serves them. Throws {@link FrontEndViolation}.
   */
  open(): void {
    for (const [index, vring] of this.#vrings.entries()) {
      if (this.#options.device.isOpen(index)) this.#goOn(index, vring);
      else if (this.#isDue(index, vring)) this.#open(index, vring);
    }
    this.#options.device.run(this.#isReady);
  }

  /** Notifies the driver of a queue. Hot. */
  call(index: number): void {
    this.#vrings[index]!.call();
  }

  /** Tells the front-end that a queue is broken; all of them for -1. */
  reportBroken(index: number): void {
    for (const [i, vring] of this.#vrings.entries()) if (index < 0 || index === i) vring.report();
  }

  dispose(): void {
    for (let index = 0; index < this.#vrings.length; index++) this.#end(index);
    for (const vring of this.#vrings) vring.dispose();
    this.recordIn(undefined);
  }

  /** What is wrong with a ring that its layout forbids; any other error as it is. */
  #setUpProblem(index: number, error: unknown): unknown {
    if (!(error instanceof RangeError)) return error;
    const isMisaligned = error.message.includes('misaligned');
    this.#record(isMisaligned ? 'DRV-RING-MISALIGNED' : 'DRV-QUEUE-SIZE', index, error.message);
    return new FrontEndViolation(`sets up queue ${index} wrongly: ${error.message}`);
  }

  #record(code: DriverRuleCode, queue: number, what: string): void {
    this.#options.device.watch?.record(code, `queue ${queue}: ${what}`, { queue });
  }

  /** The layout of the rings with the features that were accepted. */
  get layout(): QueueLayout {
    return this.#accepted?.has(VIRTIO_F_RING_PACKED) === true ? 'packed' : 'split';
  }

  #of(index: number): Vring {
    const vring = this.#vrings[index];
    if (vring !== undefined) return vring;
    throw new FrontEndViolation(`names queue ${index}: the device has ${this.#vrings.length}`);
  }

  /**
   * A ring that may be set up. One that is disabled may, as if it was stopped: User Mode Linux does not stop the rings
   * of a driver that goes, and sets those of the next one up in their place.
   */
  #idle(index: number, what: string): Vring {
    const vring = this.#of(index);
    if (vring.isEnabled === false) this.#endAt(index, vring);
    if (!this.#options.device.isOpen(index)) return vring;
    throw new FrontEndViolation(`changes ${what} of queue ${index} while the queue is in use`);
  }

  /** Ends the queues of all rings that are disabled. */
  #endDisabled(): void {
    for (const [index, vring] of this.#vrings.entries()) if (vring.isEnabled === false) this.#endAt(index, vring);
  }

  /** Ends a queue; its ring goes on where the queue stopped, unless the front-end says another position. */
  #endAt(index: number, vring: Vring): void {
    const end = this.#end(index);
    if (end !== undefined) vring.base = this.layout === 'split' ? end.available : joined(end);
  }

  #end(index: number): QueueEnd | undefined {
    const { device, emit } = this.#options;
    const buffers = device.buffersOf(index);
    const end = device.end(index);
    if (end !== undefined) emit({ kind: 'queue-stopped', queue: index, buffers, kept: end.kept });
    return end;
  }

  #isEnabled(vring: Vring): boolean {
    return vring.isEnabled ?? this.#areEnabled;
  }

  /** Whether everything of a ring was said, and it is to be served from here on. */
  #isDue(index: number, vring: Vring): boolean {
    if (this.#options.device.isOpen(index) || this.#accepted === undefined || !this.#isReady) return false;
    return vring.isStarted && this.#isEnabled(vring) && vring.size > 0 && vring.areas !== undefined;
  }

  #goOn(index: number, vring: Vring): void {
    this.#options.device.enable(index, this.#isEnabled(vring));
    if (vring.isUnseen) this.#options.kicked(index, 0);
    vring.isUnseen = false;
  }

  #open(index: number, vring: Vring): void {
    const { device, assumed, emit } = this.#options;
    const accepted = this.#accepted!.without(VHOST_USER_F_PROTOCOL_FEATURES);
    const { setup, goesOn } = this.#setUp(index, vring, accepted);
    try {
      device.open(index, setup, new FeatureSet(accepted.bits | assumed.bits), this.#space!);
    } catch (error) {
      throw this.#setUpProblem(index, error);
    }
    if (!this.#isTold) emit({ kind: 'negotiated', accepted, translates: this.translates });
    this.#isTold = true;
    const { layout, size, position } = setup;
    emit({ kind: 'queue-started', queue: index, layout, size, position });
    // The process that served the ring before may have written a used buffer and have died before it notified the
    // driver of it. With EVENT_IDX the driver asks for a notification of that buffer alone, and waits for it.
    if (goesOn) vring.call();
    device.enable(index, true);
    vring.isUnseen = false;
  }

  #setUp(index: number, vring: Vring, accepted: FeatureSet): Opening {
    const layout = this.layout;
    const words = this.#wordsOf(index, vring);
    const record = this.#inFlight?.recordOf(index, layout, vring.size);
    const journal = (log: RingLog): QueueJournal => new QueueJournal(record, log);
    const recovered = record && this.#recover(index, vring, record, words);
    const position = recovered?.position ?? this.#position(index, vring, words);
    const log = { layout, size: vring.size, words, space: this.#space!, deviceArea: () => vring.logArea };
    const setup = {
      layout,
      size: vring.size,
      words,
      position,
      journal: this.#options.isJournaled() ? journal(new RingLog(log, position)) : undefined,
      resubmitted: recovered?.resubmitted ?? [],
      eventIdx: accepted.has(VIRTIO_RING_F_EVENT_IDX),
      indirect: accepted.has(VIRTIO_RING_F_INDIRECT_DESC),
      inOrder: accepted.has(VIRTIO_F_IN_ORDER),
      tableEntries: this.#options.device.model.queueSizes[index]!,
    };
    return { setup, goesOn: recovered?.isNew === false || position !== (FIRST[layout] & 0xffff) };
  }

  /** The device addresses of the areas of a ring. Throws {@link FrontEndViolation} for one outside of all regions. */
  #wordsOf(index: number, { size, areas = [0n, 0n, 0n] }: Vring): number[] {
    const lengths = ringAreaBytes(this.layout, size);
    return areas.flatMap((address, area) => {
      const device = this.translates ? address : this.#options.memory.guestOfUser(address, lengths[area]!);
      if (device === undefined) {
        const where = `at 0x${address.toString(16)}, which are in no region that it gave`;
        this.#record('DRV-RING-UNREACHABLE', index, `${lengths[area]!} bytes of the ring are ${where}`);
        throw new FrontEndViolation(`has ${lengths[area]!} bytes of queue ${index} ${where}`);
      }
      return wordsOf(device);
    });
  }

  /** Where the device begins, where no record says it. */
  #position(index: number, { base = FIRST[this.layout] }: Vring, words: readonly number[]): number {
    return this.layout === 'split' ? this.#splitPosition(index, base, words) : this.#packedPosition(index, base, words);
  }

  /**
   * Where the device goes on in a packed ring. User Mode Linux begins at 0, which is slot 0 with wrap counter 0: where
   * a driver gets there it used slot 0 with wrap counter 1 before.
   */
  #packedPosition(index: number, base: number, words: readonly number[]): number {
    const position = packedPosition(index, base);
    if (position !== 0 || this.#u16At(words, 0, DESCRIPTOR_FLAGS) !== 0) return position;
    const begins = `starts queue ${index} with wrap counter 0, but no descriptor was ever used`;
    this.#options.emit({ kind: 'problem', by: 'front-end', text: `${begins}: the device begins with 1` });
    return FIRST.packed & 0xffff;
  }

  /**
   * Where the device goes on by its record, and what it takes again. A ring that cannot be reached is broken at its
   * first use: `undefined` then.
   */
  #recover(index: number, vring: Vring, record: InFlightRecord, words: readonly number[]): RecoveredQueue | undefined {
    const { size, base = FIRST[this.layout] } = vring;
    const isSplit = this.layout === 'split';
    const [available, used] = [this.#u16At(words, DRIVER_AREA, INDEX), this.#u16At(words, DEVICE_AREA, INDEX)];
    if (isSplit && (available === undefined || used === undefined)) return undefined;
    const recovered = record.recover({
      size,
      position: isSplit ? (used ?? 0) : this.#packedPosition(index, base, words),
      indices: { available: available ?? 0, used: used ?? 0 },
      flagsAt: (slot) => this.#u16At(words, 0, DESCRIPTOR_SIZE * slot + DESCRIPTOR_FLAGS) ?? 0,
    });
    const { resubmitted } = recovered;
    if (resubmitted.length > 0) this.#options.emit({ kind: 'recovered', queue: index, buffers: resubmitted.length });
    return recovered;
  }

  /** Reads a ring; `undefined` where the device does not reach it. */
  #u16At(words: readonly number[], area: number, at: number): number | undefined {
    const bytes = new Uint8Array(2);
    const low = words[area]! + at;
    const [atLow, atHigh] = [low >>> 0, words[area + 1]! + (low > 0xffff_ffff ? 1 : 0)];
    return this.#space!.read(atLow, atHigh, bytes, 0, 2) ? bytes[0]! | (bytes[1]! << 8) : undefined;
  }

  /**
   * Where the device goes on in a split ring: at its used index, as libvhost-user does. A front-end that says more has
   * a back-end in mind that did not return all that it took: those buffers are taken again.
   */
  #splitPosition(index: number, base: number, words: readonly number[]): number {
    if (base > 0xffff)
      throw new FrontEndViolation(`starts queue ${index} at ${base}, which is no index of a split ring`);
    const used = this.#u16At(words, DEVICE_AREA, INDEX);
    // Where the ring cannot be reached the queue is broken at its first use.
    if (used === undefined) return base;
    if (used !== base) {
      const text = `starts queue ${index} at ${base}, but its used index is ${used}: the device goes on at ${used}`;
      this.#options.emit({ kind: 'problem', by: 'front-end', text });
    }
    return used;
  }
}

/** Low and high word of an address. */
function wordsOf(address: bigint): [low: number, high: number] {
  return [Number(address & 0xffff_ffffn), Number(address >> 32n)];
}

/** The next available and the next used entry of a packed ring, as messages have them. */
function joined({ used, available }: QueueEnd): number {
  return ((used << 16) | available) >>> 0;
}

/** Where the device goes on in a packed ring. Some front-ends (DPDK) leave the upper half 0. */
function packedPosition(index: number, base: number): number {
  const [available, used] = [base & 0xffff, base >>> 16];
  if (used !== 0 && used !== available) {
    const what = `at ${available}, with buffers in flight from ${used} on`;
    throw new FrontEndViolation(`starts queue ${index} ${what}, of which this back-end does not know`);
  }
  return available;
}
