import {
  DmaDirection,
  ForwardingDmaMapping,
  ForwardingDmaRegion,
  type DmaMapping,
  type DmaRegion,
} from '@virtio-platform/core/dma';
import { KIND } from '../event-kind.ts';
import type { Recorder } from '../recorder.ts';

/** The mapping of a queue whose calls are recorded, with the addresses that the platform gives. Hot: no allocation. */
export class RecordedDmaMapping extends ForwardingDmaMapping {
  readonly #recorder: Recorder;
  readonly #queue: number;
  readonly #words = new Uint32Array(2);

  /** Owns `inner`. */
  constructor(inner: DmaMapping, queue: number, recorder: Recorder) {
    super(inner);
    this.#recorder = recorder;
    this.#queue = queue;
  }

  override map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    const id = super.map(address, length, direction, words, at);
    const low = id < 0 ? 0 : words[at]!;
    const high = id < 0 ? 0 : words[at + 1]!;
    this.#recorder.record(KIND.map, this.#queue, id, address, low, high, length, direction);
    return id;
  }

  override unmap(id: number, written: number): void {
    super.unmap(id, written);
    this.#recorder.mark(KIND.unmap, this.#queue, id, written, 0);
  }

  override syncForCpu(id: number, offset: number, length: number): void {
    super.syncForCpu(id, offset, length);
    this.#recorder.mark(KIND.syncForCpu, this.#queue, id, length, offset);
  }

  override syncForDevice(id: number, offset: number, length: number): void {
    super.syncForDevice(id, offset, length);
    this.#recorder.mark(KIND.syncForDevice, this.#queue, id, length, offset);
  }

  override premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    return this.#opened(KIND.premap, super.premap(address, length, direction));
  }

  override allocateCoherent(length: number, alignment: number): DmaRegion {
    return this.#opened(KIND.coherent, super.allocateCoherent(length, alignment));
  }

  #opened(kind: number, region: DmaRegion): DmaRegion {
    const words = this.#words;
    region.writeDeviceAddress(0, words, 0);
    const { address, length, direction } = region;
    this.#recorder.tick();
    this.#recorder.record(kind, this.#queue, -1, address, words[0]!, words[1]!, length, direction);
    return this.#recorder.detail === 'full' ? new RecordedDmaRegion(region, this.#queue, this.#recorder) : region;
  }
}

/** A region whose syncs and release are recorded. Hot: no allocation. */
class RecordedDmaRegion extends ForwardingDmaRegion {
  readonly #recorder: Recorder;
  readonly #queue: number;
  readonly #words = new Uint32Array(2);

  constructor(inner: DmaRegion, queue: number, recorder: Recorder) {
    super(inner);
    this.#recorder = recorder;
    this.#queue = queue;
  }

  override syncForDevice(offset: number, length: number): void {
    super.syncForDevice(offset, length);
    this.#recorder.record(KIND.syncForDevice, this.#queue, -1, this.address + offset, 0, 0, length, offset);
  }

  override syncForCpu(offset: number, length: number): void {
    super.syncForCpu(offset, length);
    this.#recorder.record(KIND.syncForCpu, this.#queue, -1, this.address + offset, 0, 0, length, offset);
  }

  override release(): void {
    const words = this.#words;
    this.writeDeviceAddress(0, words, 0);
    super.release();
    this.#recorder.record(KIND.release, this.#queue, -1, this.address, words[0]!, words[1]!, this.length, 0);
  }
}
