import { DeviceError, KEPT, type DeviceModel, type DeviceQueues, type DeviceTypePlugin } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DeviceStatus, type DeviceInterface, type Transport, type WaitResult } from '@virtio-platform/core/device';
import {
  FeatureSet,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_RING_PACKED,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import {
  DescriptorChain,
  LONGEST_TABLE,
  openDeviceQueue,
  type ByteOrder,
  type DeviceQueue,
  type QueueAddresses,
} from '@virtio-platform/core/queue';
import { TrialBuffer } from './trial-buffer.ts';
import { TrialSpace } from './trial-space.ts';

/** Entries of the queues of a trial, at most. */
const QUEUE_SIZE = 64;
/** Segments of one byte at the start of each part of a buffer that is cut into bytes. */
const CUT_BYTES = 40;

/** How the device half sees a buffer: as the driver made it, each part in one run, or in pieces of a byte. */
export type Framing = 'as-is' | 'whole' | 'bytes';

/** What the device of a trial does wrong. Counted from 1. */
export interface Misconduct {
  /** Changes the used length of a buffer. */
  readonly used?: (written: number, buffer: TrialBuffer) => number;
  /** Of a split ring: changes the id in the used element that was just written. */
  readonly usedId?: (id: number) => number;
  /** Changes what the device half writes. */
  readonly written?: (bytes: Uint8Array) => void;
  /** Changes what the driver reads of the configuration; may throw. */
  readonly config?: (offset: number, target: Uint8Array) => void;
  /** Whether a buffer, the nth one, is never given back. */
  readonly drops?: (nth: number) => boolean;
  /** The buffer after which the device asks for a reset. */
  readonly failsAfter?: number;
  /** Whether the generation of the configuration never stands still. */
  readonly isUnstable?: boolean;
  /** The buffer after which the device says that the configuration changed. */
  readonly changesConfigAfter?: number;
}

/** How a trial offers a device. */
export interface TrialDeviceOptions {
  readonly type: DeviceTypePlugin;
  readonly interface: DeviceInterface;
  readonly offers: FeatureSet;
  readonly byteOrder: ByteOrder;
  readonly framing: Framing;
}

interface EnabledQueue {
  readonly queue: DeviceQueue;
  readonly chain: DescriptorChain;
  readonly addresses: QueueAddresses;
  pushed: number;
}

/**
 * A virtio device around a device half, in this thread: registers and queues over the core alone, which watches the
 * device half and can break the rules for it. Serves a queue when it is notified, and after an event.
 */
export class TrialDevice implements Transport, DeviceQueues {
  readonly interface: DeviceInterface;
  readonly deviceId: number;
  readonly queueCount: number;
  readonly carries: FeatureSet = new FeatureSet(2n ** 128n - 1n);
  readonly model: DeviceModel;
  /** What the device half did against its contract. */
  readonly wrongs: string[] = [];
  /** Errors that the device half met and answered itself. */
  readonly reported: unknown[] = [];
  /** What the driver read of the configuration. */
  readonly configReads: { readonly offset: number; readonly length: number }[] = [];
  misconduct: Misconduct = {};
  /** Buffers that the device half may still handle; then it is left alone until a reset. */
  budget: number = Infinity;
  /** Buffers that the device half handled since the last reset. */
  handled = 0;
  readonly #options: TrialDeviceOptions;
  readonly #buffers = new Set<TrialBuffer>();
  readonly #queues: (EnabledQueue | undefined)[] = [];
  readonly #config: Uint8Array;
  #space: TrialSpace | undefined;
  /** Of the rings, which are the device's own. */
  #ringSpace: DeviceAddressSpace | undefined;
  #status = 0;
  #accepted = FeatureSet.EMPTY;
  #notified = false;
  #isConfigChanged = false;
  #generation = 0;
  #isServing = false;
  #isInside = false;
  /** What each queue was wanted for when the host last asked. */
  #wanted: boolean[] = [];

  /** Owns `model`, and connects it. */
  constructor(model: DeviceModel, options: TrialDeviceOptions) {
    this.model = model;
    this.#options = options;
    this.interface = options.interface;
    this.deviceId = options.type.id;
    this.queueCount = model.queueSizes.length;
    this.#config = Uint8Array.from(model.config);
    model.connect?.({
      queueChanged: () => this.#hearQueues(),
      configChanged: () => this.#hearConfig(),
    });
  }

  /** Puts the device behind the address space of a mapping, before queues are enabled. */
  attach(space: DeviceAddressSpace): void {
    this.#ringSpace = space;
    const writesMemory = this.#options.type.writes === 'memory';
    this.#space = new TrialSpace(space, this.#buffers, (what) => this.wrongs.push(what), writesMemory);
    this.#space.change = (bytes) => this.misconduct.written?.(bytes);
  }

  /** Lets the device handle so many buffers more, from now on. */
  allow(budget: number): void {
    this.budget = budget;
    this.#run();
  }

  /** Looks for what changed without an event. Called while the driver waits. */
  lookAround(): void {
    if (!this.#isLive) return;
    this.#compareConfig('while nothing was asked of it');
    const wanted = this.#wants();
    wanted.forEach((isWanted, queue) => {
      if (isWanted === this.#wanted[queue]) return;
      this.wrongs.push(`wants(${queue}) changed to ${isWanted} without a call of queueChanged`);
    });
    this.#wanted = wanted;
  }

  push(index: number, head: number, written: number): void {
    const buffer = [...this.#buffers].find((kept) => kept.queue === index && kept.head === head);
    if (buffer === undefined) {
      this.wrongs.push(`it pushes buffer ${head} of queue ${index}, which it does not have`);
      return;
    }
    this.#giveBack(buffer, written);
  }

  report(_queue: number, error: unknown): void {
    this.reported.push(error);
  }

  readDeviceFeatures(): FeatureSet {
    return this.#options.offers;
  }

  writeDriverFeatures(features: FeatureSet): void {
    this.#accepted = features;
  }

  readStatus(): number {
    return this.#status;
  }

  writeStatus(status: number): void {
    if (status === 0) return this.#reset();
    const isStarted = (status & ~this.#status & DeviceStatus.DriverOk) !== 0;
    this.#status |= status;
    if (!isStarted) return;
    this.#call('start', () => this.model.start(this.#accepted));
    this.#config.set(this.model.config.subarray(0, this.#config.length));
    this.#wanted = this.#wants();
  }

  maxQueueSize(queue: number): number {
    const size = Math.min(this.model.queueSizes[queue] ?? 0, QUEUE_SIZE);
    return size === 0 ? 0 : 2 ** Math.floor(Math.log2(size));
  }

  enableQueue(index: number, addresses: QueueAddresses): void {
    const layout = this.#accepted.has(VIRTIO_F_RING_PACKED) ? 'packed' : 'split';
    const queue = openDeviceQueue(layout, this.#ringSpace!, {
      addresses,
      eventIdx: this.#accepted.has(VIRTIO_RING_F_EVENT_IDX),
      indirect: this.#accepted.has(VIRTIO_RING_F_INDIRECT_DESC),
      inOrder: this.#accepted.has(VIRTIO_F_IN_ORDER),
      byteOrder: this.#options.byteOrder,
    });
    this.#queues[index] = { queue, chain: new DescriptorChain(LONGEST_TABLE), addresses, pushed: 0 };
  }

  resetQueue(index: number): void {
    this.#queues[index] = undefined;
    for (const buffer of this.#buffers) if (buffer.queue === index) this.#buffers.delete(buffer);
    this.#call('forget', () => this.model.forget(index));
    this.#wanted = this.#wants();
  }

  isQueueReset(index: number): boolean {
    return this.#queues[index] === undefined;
  }

  notify(_queue: number): void {
    this.#run();
  }

  wait(_timeoutMs: number): WaitResult {
    const isNotified = this.#notified;
    this.#notified = false;
    return isNotified ? 'notified' : 'timeout';
  }

  takeConfigChange(): boolean {
    const isChanged = this.#isConfigChanged;
    this.#isConfigChanged = false;
    return isChanged;
  }

  configGeneration(): number {
    if (this.misconduct.isUnstable === true) this.#generation++;
    return this.interface === 'legacy' ? 0 : this.#generation & 0xff;
  }

  readConfig(offset: number, target: Uint8Array): void {
    this.configReads.push({ offset, length: target.length });
    const { config } = this.model;
    for (let i = 0; i < target.length; i++) target[i] = config[offset + i] ?? 0;
    this.misconduct.config?.(offset, target);
  }

  writeConfig(offset: number, source: Uint8Array): void {
    const fields = Object.values(this.#options.type.config);
    const field = fields.find((candidate) => candidate.offset === offset && candidate.width === source.length);
    if (field?.isWritable !== true) return;
    this.#call('writeConfig', () => this.model.writeConfig?.(offset, source));
    this.#config.set(this.model.config.subarray(0, this.#config.length));
    // The device half may have called queueChanged.
    this.#run();
  }

  dispose(): void {
    this.model.dispose();
  }

  get #isLive(): boolean {
    const isStarted = this.interface === 'legacy' || (this.#status & DeviceStatus.DriverOk) !== 0;
    return isStarted && (this.#status & DeviceStatus.NeedsReset) === 0 && this.budget > 0;
  }

  #reset(): void {
    this.#call('reset', () => this.model.reset?.());
    this.#config.set(this.model.config.subarray(0, this.#config.length));
    this.#status = 0;
    this.#accepted = FeatureSet.EMPTY;
    this.#queues.length = 0;
    this.#buffers.clear();
    this.#space?.reset();
    this.#notified = this.#isConfigChanged = false;
    this.handled = 0;
  }

  #hearQueues(): void {
    this.#wanted = this.#wants();
    this.#run();
  }

  #hearConfig(): void {
    this.#config.set(this.model.config.subarray(0, this.#config.length));
    this.#changeConfig();
  }

  #changeConfig(): void {
    this.#generation++;
    this.#isConfigChanged = this.#notified = true;
  }

  #compareConfig(when: string): void {
    const at = this.#config.findIndex((byte, i) => byte !== this.model.config[i]);
    if (at < 0) return;
    this.wrongs.push(`byte ${at} of its configuration changed ${when}, without a call of configChanged`);
    this.#config.set(this.model.config.subarray(0, this.#config.length));
  }

  #wants(): boolean[] {
    return this.model.queueSizes.map((_, queue) => this.#call('wants', () => this.model.wants(queue)) ?? false);
  }

  /** Calls the device half. What it throws is against its contract, and ends the device. */
  #call<T>(method: string, body: () => T): T | undefined {
    const wasInside = this.#isInside;
    this.#isInside = true;
    try {
      return body();
    } catch (error) {
      this.wrongs.push(`${method} threw ${String(error)}`);
      this.#status |= DeviceStatus.NeedsReset;
      return undefined;
    } finally {
      this.#isInside = wasInside;
    }
  }

  #run(): void {
    if (this.#isServing || this.#isInside) return;
    this.#isServing = true;
    try {
      for (let isBusy = true; isBusy;) {
        isBusy = false;
        for (const [index, enabled] of this.#queues.entries())
          if (enabled !== undefined && this.#serve(index, enabled)) isBusy = true;
      }
    } finally {
      this.#isServing = false;
    }
    this.#compareConfig('in `process`');
    this.#wanted = this.#wants();
  }

  #serve(index: number, enabled: EnabledQueue): boolean {
    const { queue, chain } = enabled;
    const isMine = (): boolean => this.#queues[index] === enabled && this.#isLive;
    let isBusy = false;
    do {
      queue.disableNotifications();
      while (isMine() && this.#call('wants', () => this.model.wants(index)) === true && queue.pop(chain)) {
        isBusy = true;
        this.#handle(index, chain);
      }
      if (!isMine()) break;
      if (queue.flush()) this.#notified = true;
    } while (this.model.wants(index) && !queue.enableNotifications());
    if (queue.broken !== undefined) this.#status |= DeviceStatus.NeedsReset;
    return isBusy;
  }

  #handle(index: number, chain: DescriptorChain): void {
    const buffer = new TrialBuffer(index, chain);
    this.#buffers.add(buffer);
    this.handled++;
    this.budget--;
    if (this.#options.framing !== 'as-is') this.#reframe(buffer, chain);
    const written = this.#call('process', () => this.model.process(index, chain, this.#space!, this));
    // A device half that keeps the chain itself finds another one there.
    chain.low.fill(0xdead_beef);
    chain.high.fill(0xdead_beef);
    chain.length.fill(0xdead);
    chain.clear(chain.head);
    const { failsAfter, changesConfigAfter } = this.misconduct;
    if (this.handled === changesConfigAfter) this.#changeConfig();
    if (this.handled === failsAfter) this.#status |= DeviceStatus.NeedsReset;
    if (written === undefined || written === KEPT) return;
    this.#giveBack(buffer, written);
  }

  #giveBack(buffer: TrialBuffer, written: number): void {
    const { queue: index, head, writableBytes } = buffer;
    const enabled = this.#queues[index];
    this.#buffers.delete(buffer);
    if (!Number.isInteger(written) || written < 0 || written > writableBytes) {
      this.wrongs.push(`it says that it wrote ${written} bytes to a buffer of queue ${index} with ${writableBytes}`);
      return;
    }
    if (written > buffer.writtenInFront) {
      const front = buffer.writtenInFront;
      this.wrongs.push(
        `it says that it wrote ${written} bytes to a buffer of queue ${index}, and wrote ${front} in front`,
      );
    }
    if (enabled === undefined || this.misconduct.drops?.(this.handled) === true) return;
    try {
      enabled.queue.push(head, this.misconduct.used?.(written, buffer) ?? written);
    } catch (error) {
      this.wrongs.push(`the buffer ${head} of queue ${index} cannot be given back now: ${String(error)}`);
      return;
    }
    this.#changeId(enabled);
  }

  #changeId(enabled: EnabledQueue): void {
    const { usedId } = this.misconduct;
    const { addresses, queue } = enabled;
    const at = 4 + 8 * (enabled.pushed++ % queue.size);
    if (usedId === undefined || this.#accepted.has(VIRTIO_F_RING_PACKED)) return;
    const { memory } = this.#ringSpace!;
    const ring = this.#ringSpace!.borrow(addresses.words[4]! + at, addresses.words[5]!, 8, 'write');
    const isLittle = this.#options.byteOrder === 'little';
    memory.view.setUint32(ring, usedId(memory.view.getUint32(ring, isLittle)), isLittle);
  }

  /** Shows a buffer to the device half at other addresses, whole or in bytes. */
  #reframe(buffer: TrialBuffer, chain: DescriptorChain): void {
    const [readable, writable] = this.#space!.reframe(buffer);
    chain.clear(buffer.head);
    const limit = chain.capacity;
    for (const [base, bytes, isWritable] of [
      [readable, buffer.readableBytes, false],
      [writable, buffer.writableBytes, true],
    ] as const) {
      for (let done = 0; done < bytes;) {
        const isCut = this.#options.framing === 'bytes' && done < CUT_BYTES;
        const isLast = this.#options.framing === 'bytes' && done < bytes - 1;
        const run = isCut ? 1 : isLast ? bytes - done - 1 : bytes - done;
        const address = base + BigInt(done);
        const problem = chain.append(Number(address & 0xffff_ffffn), Number(address >> 32n), run, isWritable, limit);
        if (problem !== undefined) throw new DeviceError('ERR_QUEUE_BROKEN', problem);
        done += run;
      }
    }
  }
}
