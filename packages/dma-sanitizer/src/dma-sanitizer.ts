import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { Transport } from '@virtio-platform/core/device';
import type { AddressRange, DmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { Virtqueue } from '@virtio-platform/core/queue';
import { CpuAccessCheck } from './cpu-access-check.ts';
import { DeviceAccessCheck, WatchedAddressSpace } from './wrapper/watched-address-space.ts';
import type { FindingLog } from './finding.ts';
import { RequestTracker } from './request-tracker.ts';
import { SanitizedDmaMapping } from './wrapper/sanitized-dma-mapping.ts';
import { SanitizedMemory } from './wrapper/sanitized-memory.ts';
import { SanitizedVirtqueue } from './wrapper/sanitized-virtqueue.ts';
import { SanitizerState, type SanitizerOptions } from './sanitizer-state.ts';
import type { QueueOwner } from './tracked-mapping.ts';
import { UnusedMemory } from './unused-memory.ts';
import { WatchedTransport } from './wrapper/watched-transport.ts';

/**
 * Finds the mistakes that a driver makes with DMA, on any platform and machine: what Linux dma-debug finds, and what it
 * cannot see. Real devices hide these mistakes, so the checks are on the driver's side: a driver runs unchanged over
 * wrappers of what it is given. `findings.md` in the documentation of the core describes each finding by its code.
 *
 * One sanitizer serves all devices of a guest, each by its name.
 */
export class DmaSanitizer {
  readonly #state: SanitizerState;
  readonly #requests = new Map<QueueOwner, RequestTracker>();
  #unused: UnusedMemory | undefined;

  constructor(memory: GuestMemory, options: SanitizerOptions) {
    this.#state = new SanitizerState(memory, options);
  }

  /** The findings so far. */
  get findings(): FindingLog {
    return this.#state.findings;
  }

  /** Whether all reads and writes of the driver are seen: it uses {@link memory}, and never took the raw buffer. */
  get seesDriver(): boolean {
    return this.#state.seesDriver;
  }

  /** Whether the accesses of the device are seen: it runs in this thread, on {@link addressSpace}. */
  get seesDevice(): boolean {
    return this.#state.seesDevice;
  }

  /**
   * Fills all memory that was never allocated, so that {@link checkUnusedMemory} finds writes there. To be called
   * before the device runs. All memory that the machine itself uses must be allocated, or reserved.
   */
  fillUnusedMemory(): void {
    const { memory, options } = this.#state;
    this.#unused = new UnusedMemory(memory, options.seed);
  }

  /**
   * Reports changes in what {@link fillUnusedMemory} filled and was not allocated since. To be called once the device
   * ended.
   */
  checkUnusedMemory(): void {
    const change = this.#unused?.compare();
    if (change === undefined) return;
    const { address, length, changed } = change;
    const where = `0x${address.toString(16)}..0x${(address + length - 1).toString(16)}`;
    const what = `${changed} bytes changed in ${where}, in memory that was never allocated`;
    this.#state.report('DMA-OUTSIDE-WRITTEN', what, { address, length, isHindsight: true });
  }

  /** Guest memory for the driver. Queues and mappings keep the memory that the sanitizer was made with. */
  memory(): GuestMemory {
    this.#state.seesDriver = true;
    return new SanitizedMemory(this.#state.memory, new CpuAccessCheck(this.#state));
  }

  /** Wraps the mapping of one queue. The result owns `inner`. */
  mapping(inner: DmaMapping, device: string, queue: number): DmaMapping {
    return new SanitizedDmaMapping(inner, this.#state, this.#state.owner(device, queue));
  }

  /** Wraps a queue that was opened or restored over `mapping`, which {@link mapping} returned. */
  queue(inner: Virtqueue, mapping: DmaMapping, device: string): Virtqueue {
    const owner = this.#state.owner(device, inner.index);
    const requests = this.#requests.get(owner) ?? new RequestTracker(this.#state, owner, mapping);
    this.#requests.set(owner, requests);
    return new SanitizedVirtqueue(inner, this.#state, owner, requests);
  }

  /** Wraps the transport of a device, to find ring memory that is released too early. */
  transport(inner: Transport, device: string): Transport {
    return new WatchedTransport(inner, this.#state, device);
  }

  /**
   * Wraps the address space of a device, to compare its every access with what is mapped, byte by byte. `writesMemory`
   * is `DeviceTypePlugin.writes`: the device may also access memory that no buffer maps, as a balloon does with the
   * pages that it is given.
   */
  addressSpace(inner: DeviceAddressSpace, device: string, writesMemory = false): DeviceAddressSpace {
    this.#state.seesDevice = true;
    return new WatchedAddressSpace(inner, new DeviceAccessCheck(this.#state, device, writesMemory));
  }

  /**
   * Says which device addresses are interrupts of a device: no memory, so that a write of one word there is no finding.
   * The platform knows them (`Platform.addressRanges`), and is there later than {@link addressSpace} is needed.
   */
  interrupts(ranges: readonly AddressRange[], device: string): void {
    this.#state.setInterrupts(device, ranges);
  }
}
