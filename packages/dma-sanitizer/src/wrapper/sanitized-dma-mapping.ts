import {
  ForwardingDmaMapping,
  isCopied,
  type DmaDirection,
  type DmaMapping,
  type DmaRegion,
} from '@virtio-platform/core/dma';
import { ByteFlag } from '../byte-shadow.ts';
import { CallStack } from '../call-stack.ts';
import { checkFailedMap, checkMap, giveToDevice, reportInvalid, syncForCpu, syncForDevice } from '../mapping-check.ts';
import { SanitizedRegion } from './sanitized-region.ts';
import type { SanitizerState } from '../sanitizer-state.ts';
import { TrackedMapping, type MappingKind, type QueueOwner } from '../tracked-mapping.ts';

interface LiveMapping {
  /** The id in the mapping that is wrapped. */
  readonly inner: number;
  readonly tracked: TrackedMapping;
}

/**
 * A mapping that checks what its user does, and then forwards it, errors included. Its ids are its own, so that a
 * finding can tell an id of another queue, or an old one, from a live one.
 */
export class SanitizedDmaMapping extends ForwardingDmaMapping {
  readonly #state: SanitizerState;
  readonly #owner: QueueOwner;
  readonly #live = new Map<number, LiveMapping>();
  readonly #words = new Uint32Array(2);

  /** Owns `inner`. */
  constructor(inner: DmaMapping, state: SanitizerState, owner: QueueOwner) {
    super(inner);
    this.#state = state;
    this.#owner = owner;
  }

  override map(address: number, length: number, direction: DmaDirection, words: Uint32Array, at: number): number {
    const state = this.#state;
    state.reportOldMappings();
    const inner = super.map(address, length, direction, words, at);
    if (inner < 0) {
      const failure = { owner: this.#owner, address, length, reason: inner, at: new CallStack() };
      state.mappings.addFailure(failure);
      checkFailedMap(state, failure, this.limits);
      return inner;
    }
    const tracked = this.#track('buffer', address, length, direction, words[at]!, words[at + 1]!);
    const id = state.nextId();
    state.mappings.open(tracked, id);
    this.#live.set(id, { inner, tracked });
    if (!tracked.deviceWrites) tracked.checksum = state.checksum(address, length);
    if (state.request !== 0) state.requestMappings.push(tracked);
    return id;
  }

  override unmap(id: number, written: number): void {
    const state = this.#state;
    state.reportOldMappings();
    const live = this.#live.get(id);
    if (live === undefined) throw this.#unknown(id);
    const { inner, tracked } = live;
    this.#checkUnmap(tracked, written);
    super.unmap(inner, written);
    this.#live.delete(id);
    tracked.written = Math.max(tracked.written, written);
    state.release(tracked, new CallStack());
  }

  override syncForCpu(id: number, offset: number, length: number): void {
    const { inner, tracked } = this.#synced(id);
    syncForCpu(this.#state, tracked, offset, length);
    super.syncForCpu(inner, offset, length);
  }

  override syncForDevice(id: number, offset: number, length: number): void {
    const { inner, tracked } = this.#synced(id);
    syncForDevice(this.#state, tracked, offset, length);
    super.syncForDevice(inner, offset, length);
  }

  override premap(address: number, length: number, direction: DmaDirection): DmaRegion {
    if (!this.#state.memory.contains(address, length)) reportInvalid(this.#state, address, length, this.#owner);
    return this.#openRegion('region', super.premap(address, length, direction));
  }

  override allocateCoherent(length: number, alignment: number): DmaRegion {
    return this.#openRegion('coherent', super.allocateCoherent(length, alignment));
  }

  override dispose(): void {
    const state = this.#state;
    for (const mapping of state.mappings.live) {
      if (mapping.owner !== this.#owner) continue;
      this.#reportLeak(mapping);
      state.release(mapping, new CallStack());
    }
    this.#live.clear();
    super.dispose();
  }

  #openRegion(kind: MappingKind, inner: DmaRegion): DmaRegion {
    inner.writeDeviceAddress(0, this.#words, 0);
    const { address, length, direction } = inner;
    const tracked = this.#track(kind, address, length, direction, this.#words[0]!, this.#words[1]!);
    this.#state.mappings.open(tracked, -1);
    return new SanitizedRegion(inner, this.#state, tracked);
  }

  #track(
    kind: MappingKind,
    address: number,
    length: number,
    direction: DmaDirection,
    low: number,
    high: number,
  ): TrackedMapping {
    const state = this.#state;
    const tracked = new TrackedMapping({
      owner: this.#owner,
      kind,
      address,
      length,
      direction,
      low,
      high,
      isBounced: isCopied(this, address, length),
      mappedAt: new CallStack(),
      bornMs: state.options.now(),
      request: state.request,
    });
    checkMap(state, tracked, this.limits);
    giveToDevice(state, tracked);
    return tracked;
  }

  #checkUnmap(mapping: TrackedMapping, written: number): void {
    const state = this.#state;
    const { address, length, deviceWrites } = mapping;
    if (written > length) {
      const what = `${written} bytes are said to be written to a mapping of ${length}`;
      state.report('DMA-UNMAP-LENGTH', what, { mapping });
    }
    if (written > 0 && !deviceWrites) {
      const what = `${written} bytes are said to be written to a buffer that the device only reads`;
      state.report('DMA-UNMAP-DIRECTION', what, { mapping });
    }
    if (!deviceWrites) state.compareChecksum(mapping);
    // A queue that takes a buffer back does so correctly, and knows only the length that the device reports.
    if (state.isTakingBack || state.request !== 0) return;
    const segment = state.mappings.inFlight(mapping);
    if (segment !== undefined) {
      state.report('DMA-UNMAP-IN-FLIGHT', 'a buffer is unmapped before the device returned it', { segment });
    }
    const lost = mapping.written - Math.max(written, 0);
    if (lost <= 0 || state.shadow.find(address + written, lost, ByteFlag.Stale) < 0) return;
    const what = `the device wrote ${mapping.written} bytes, and ${written} are taken over by unmap`;
    state.report('DMA-UNMAP-UNSYNCED', what, { mapping });
  }

  /** Reports an id that is not live here, and makes the error for it. */
  #unknown(id: number): RangeError {
    const state = this.#state;
    const owner = this.#owner;
    const known = state.mappings.byId.get(id);
    if (id < 0) {
      const failure = state.mappings.failureWith(owner, id);
      const details = { owner, ...(failure && { address: failure.address, length: failure.length }) };
      if (failure === undefined) state.report('DMA-UNMAP-INVALID', `${id} is unmapped, which is no id`, details);
      else {
        const what = `a map failed with ${id}, and its result is unmapped as if it had not`;
        state.report('DMA-MAP-UNCHECKED', what, { ...details, mappedAt: failure.at });
      }
    } else if (known === undefined) {
      state.report('DMA-UNMAP-UNKNOWN', `${id} is unmapped, which was never mapped`, { owner });
    } else {
      const isOver = known.unmappedAt !== undefined;
      const why = isOver ? 'was unmapped already' : `is mapped by queue ${known.owner.queue} of ${known.owner.device}`;
      state.report('DMA-UNMAP-UNKNOWN', `${id} is unmapped, which ${why}`, { mapping: known, owner });
    }
    return new RangeError(`mapping ${id} is not live`);
  }

  #synced(id: number): LiveMapping {
    const live = this.#live.get(id);
    if (live !== undefined) return live;
    const state = this.#state;
    const owner = this.#owner;
    const failure = state.mappings.failureWith(owner, id);
    if (id < 0 && failure !== undefined) {
      const { address, length, at } = failure;
      const what = `a map failed with ${id}, and its result is synced as if it had not`;
      state.report('DMA-FAILED-MAP-USED', what, { owner, address, length, mappedAt: at });
    } else {
      const mapping = state.mappings.byId.get(id);
      const why = mapping === undefined ? 'was never mapped' : 'is not mapped here any more';
      state.report('DMA-SYNC-UNKNOWN', `${id} is synced, which ${why}`, { owner, mapping });
    }
    throw new RangeError(`mapping ${id} is not live`);
  }

  #reportLeak(mapping: TrackedMapping): void {
    if (mapping.isReported) return;
    const state = this.#state;
    const { lastRequest } = mapping;
    const gone = lastRequest < 0 ? 0 : state.mappings.releasedOf(lastRequest);
    if (mapping.isReset) {
      const what = 'a reset of the queue took a buffer back, and its mapping was never unmapped';
      state.report('DMA-RESET-LEAK', what, { mapping });
    } else if (gone > 0) {
      const what = `of the segments of a request ${gone} were unmapped, and one was not`;
      state.report('DMA-UNMAP-COUNT', what, { mapping });
    } else {
      const kind = mapping.kind === 'buffer' ? 'a buffer is still mapped' : 'a region was not released';
      state.report('DMA-LEAK', `${kind} when its mapping is disposed`, { mapping });
    }
  }
}
