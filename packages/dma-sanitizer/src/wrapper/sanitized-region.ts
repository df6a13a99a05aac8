import type { DmaDirection, DmaRegion } from '@virtio-platform/core/dma';
import { CallStack } from '../call-stack.ts';
import type { SanitizerState } from '../sanitizer-state.ts';
import { syncForCpu, syncForDevice } from '../mapping-check.ts';
import type { TrackedMapping } from '../tracked-mapping.ts';

/** A region that checks its syncs and its release, and then forwards them, errors included. */
export class SanitizedRegion implements DmaRegion {
  readonly address: number;
  readonly length: number;
  readonly direction: DmaDirection;
  readonly #inner: DmaRegion;
  readonly #state: SanitizerState;
  readonly #tracked: TrackedMapping;
  /** Whether the driver asked for a device address in it: a device knows no other. */
  #isTold = false;

  constructor(inner: DmaRegion, state: SanitizerState, tracked: TrackedMapping) {
    this.address = inner.address;
    this.length = inner.length;
    this.direction = inner.direction;
    this.#inner = inner;
    this.#state = state;
    this.#tracked = tracked;
  }

  writeDeviceAddress(offset: number, words: Uint32Array, at: number): void {
    this.#isTold = true;
    this.#inner.writeDeviceAddress(offset, words, at);
  }

  syncForDevice(offset: number, length: number): void {
    if (this.#isLive('synced')) syncForDevice(this.#state, this.#tracked, offset, length);
    this.#inner.syncForDevice(offset, length);
  }

  syncForCpu(offset: number, length: number): void {
    if (this.#isLive('synced')) syncForCpu(this.#state, this.#tracked, offset, length);
    this.#inner.syncForCpu(offset, length);
  }

  release(): void {
    const state = this.#state;
    const mapping = this.#tracked;
    if (mapping.unmappedAt !== undefined) {
      state.report('DMA-UNMAP-UNKNOWN', 'a region is released that was released already', { mapping });
    } else {
      const segment = state.mappings.inFlight(mapping);
      if (segment !== undefined) {
        state.report('DMA-UNMAP-IN-FLIGHT', 'a region is released while a request uses it', { segment });
      }
      if (mapping.kind === 'coherent' && this.#isTold && state.isEnabled(mapping.owner)) {
        const what = `memory of queue ${mapping.owner.queue} is given back while the device has the queue enabled`;
        state.report('DMA-RING-IN-USE', what, { mapping });
      }
      state.release(mapping, new CallStack());
    }
    this.#inner.release();
  }

  #isLive(verb: string): boolean {
    const mapping = this.#tracked;
    if (mapping.unmappedAt === undefined) return true;
    this.#state.report('DMA-SYNC-UNKNOWN', `a region is ${verb} after it was released`, { mapping });
    return false;
  }
}
