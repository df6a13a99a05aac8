import type { DeviceAddressSpace } from '../address-space/device-address-space.ts';
import type { Transport } from '../device/transport.ts';
import type { DmaMapping } from '../dma/dma-mapping.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Virtqueue } from '../queue/driver/virtqueue.ts';
import { CpuAccessCheck } from './cpu-access-check.ts';
import { DeviceAccessCheck } from './device-access-check.ts';
import type { FindingLog } from './finding.ts';
import { RequestTracker } from './request-tracker.ts';
import { SanitizedDmaMapping } from './sanitized-dma-mapping.ts';
import { SanitizedMemory } from './sanitized-memory.ts';
import { SanitizedVirtqueue } from './sanitized-virtqueue.ts';
import { SanitizerState, type SanitizerOptions } from './sanitizer-state.ts';
import type { QueueOwner } from './tracked-mapping.ts';
import { UnusedMemory } from './unused-memory.ts';
import { WatchedAddressSpace } from './watched-address-space.ts';
import { WatchedTransport } from './watched-transport.ts';
/**
 * Finds the mistakes that a driver makes with DMA, on any platform and machine: what Linux dma-debug finds, and what it cannot see.
 * Real devices hide them, so they are found on the driver's side: a driver runs unchanged over wrappers of what it is given.
 * Findings are documented by their codes in `docs/findings.md`. Nothing is wrapped, and nothing costs anything, where this is not used.
 *
 * One sanitizer serves the devices of one guest, each by its name.
 */
export class DmaSanitizer {
  readonly #state: SanitizerState;
  readonly #requests = new Map<QueueOwner, RequestTracker>();
  #unused: UnusedMemory | undefined;

  constructor(memory: GuestMemory, options: SanitizerOptions) {
    this.#state = new SanitizerState(memory, options);
  }

  get findings(): FindingLog {
    return this.#state.findings;
  }

  /** Whether all of the driver's reads and writes are seen: it has {@link memory}, and did not go around it through a raw buffer. */
  get seesDriver(): boolean {
    return this.#state.seesDriver;
  }

  /** Whether the device's accesses are seen: those in this thread, through {@link addressSpace}. */
  get seesDevice(): boolean {
    return this.#state.seesDevice;
  }

  /**
   * Fills all memory that was never allocated, so that {@link checkUnusedMemory} sees who writes there. Before the device runs, and
   * only where everything that the machine itself uses is allocated, or reserved.
   */
  fillUnusedMemory(): void {
    const { memory, options } = this.#state;
    this.#unused = new UnusedMemory(memory, options.seed);
  }

  /** Looks at what {@link fillUnusedMemory} filled, as far as it is still nobody's. Once the device has ended. */
  checkUnusedMemory(): void {
    const change = this.#unused?.compare();
    if (change === undefined) return;
    const { address, length, changed } = change;
    const where = `0x${address.toString(16)}..0x${(address + length - 1).toString(16)}`;
    const what = `${changed} bytes changed in ${where}, in memory that nobody allocated`;
    this.#state.report('DMA-OUTSIDE-WRITTEN', what, { address, length, isHindsight: true });
  }

  /** Guest memory for driver halves. Queues and mappings keep the memory that the sanitizer was made with. */
  memory(): GuestMemory {
    this.#state.seesDriver = true;
    return new SanitizedMemory(this.#state.memory, new CpuAccessCheck(this.#state));
  }

  /** The mapping of one queue, which becomes the owner of `inner`. */
  mapping(inner: DmaMapping, device: string, queue: number): DmaMapping {
    return new SanitizedDmaMapping(inner, this.#state, this.#state.owner(device, queue));
  }

  /** A queue that was opened, or restored, over `mapping`, one of {@link mapping}. */
  queue(inner: Virtqueue, mapping: DmaMapping, device: string): Virtqueue {
    const owner = this.#state.owner(device, inner.index);
    const requests = this.#requests.get(owner) ?? new RequestTracker(this.#state, owner, mapping);
    this.#requests.set(owner, requests);
    return new SanitizedVirtqueue(inner, this.#state, owner, requests);
  }

  /** The transport of a device: with it, ring memory that is given back too early is found. */
  transport(inner: Transport, device: string): Transport {
    return new WatchedTransport(inner, this.#state, device);
  }

  /** What a device reaches: with it, every access of the device is held against what is mapped, to the byte. */
  addressSpace(inner: DeviceAddressSpace, device: string): DeviceAddressSpace {
    this.#state.seesDevice = true;
    return new WatchedAddressSpace(inner, new DeviceAccessCheck(this.#state, device));
  }
}
