import { DeviceError } from '@virtio-platform/core';
import {
  DESCRIPTOR_SIZE,
  RING_EVENT_SIZE,
  splitLayout,
  type QueueAddresses,
  type QueueLayout,
} from '@virtio-platform/core/queue';
import { EventFd } from '@virtio-platform/host';
import type { DeviceMemory } from './memory/device-memory.ts';
import type { MemoryRegion, PlacedRing, RingArea } from './memory/memory-regions.ts';
import { encodeU64, encodeVringAddress, encodeVringState } from './protocol.ts';
import type { VhostUserConnection } from './vhost-user-connection.ts';
/**
 * Where a ring begins: the next available index, or of a packed ring the next available and the next used slot, 16 bits
 * each, with the wrap counter on top.
 */
const FIRST: Readonly<Record<QueueLayout, number>> = { split: 0, packed: 0x8000_8000 };

/**
 * One queue of the back-end. It is started again after every reset, because the back-end forgets its descriptors then.
 */
export class VhostUserQueue implements PlacedRing {
  readonly #index: number;
  readonly #connection: VhostUserConnection;
  readonly #kick: EventFd = new EventFd();
  /** The areas of the ring as the back-end remembers them, also after the ring was stopped. */
  #areas: readonly RingArea[] = [];
  #state: 'idle' | 'running' | 'stopped' = 'idle';
  /** Guest memory as 16-bit words, once the ring was started. */
  #words: Uint16Array | undefined;
  /** Where used.idx is among the 16-bit words of guest memory; -1 for a packed ring, which has none. */
  #usedIdx = -1;
  /** The next available index when it was stopped; used.idx gets there once nothing is in flight. */
  #stoppedAt = 0;

  constructor(index: number, connection: VhostUserConnection) {
    this.#index = index;
    this.#connection = connection;
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  /**
   * Whether every buffer that the back-end took before it was stopped came back. A packed ring does not show it: there
   * the back-end is believed to be done when it stopped, as DPDK is. What is unmapped then is taken from it all the
   * same.
   */
  get isDrained(): boolean {
    if (this.#state !== 'stopped') return this.#state === 'idle';
    return this.#usedIdx < 0 || Atomics.load(this.#words!, this.#usedIdx) === this.#stoppedAt;
  }

  /**
   * Gives the back-end the ring in `memory` and starts it. The back-end notifies through `call`. Throws {@link
   * DeviceError}.
   */
  start(layout: QueueLayout, { size, words }: QueueAddresses, call: EventFd, memory: DeviceMemory): void {
    const lengths = areaLengths(layout, size);
    const locate = (area: number): RingArea =>
      this.#locate(memory, words[2 * area]!, words[2 * area + 1]!, lengths[area]!);
    const [descriptor, driver, device] = [locate(0), locate(1), locate(2)];
    this.#areas = [descriptor, driver, device];
    this.#words = memory.memory.u16;
    this.#usedIdx = layout === 'packed' ? -1 : device.offset / 2 + 1;

    const index = this.#index;
    const connection = this.#connection;
    connection.command('SET_VRING_NUM', encodeVringState(index, size));
    connection.command('SET_VRING_BASE', encodeVringState(index, FIRST[layout]));
    connection.command('SET_VRING_ADDR', encodeVringAddress(index, descriptor.address, driver.address, device.address));
    // The first kick descriptor starts the ring, enabled or not.
    this.#state = 'running';
    connection.command('SET_VRING_KICK', encodeU64(BigInt(index)), [this.#kick.descriptor]);
    connection.command('SET_VRING_CALL', encodeU64(BigInt(index)), [call.descriptor]);
    connection.command('SET_VRING_ENABLE', encodeVringState(index, 1));
    connection.confirm();
  }

  /** Stops the ring: the back-end takes no more buffers. Those it has it still works on. Throws {@link DeviceError}. */
  stop(): void {
    if (this.#state !== 'running') return;
    const reply = this.#connection.query('GET_VRING_BASE', encodeVringState(this.#index, 0), 8);
    this.#state = 'stopped';
    this.#stoppedAt = reply.getUint32(4, true) & 0xffff;
  }

  /** The reset is complete: the ring's memory is the driver's again. */
  forget(): void {
    this.#state = 'idle';
  }

  isIn(region: MemoryRegion): boolean {
    return this.#areas.some((area) => area.region === region);
  }

  move(region: MemoryRegion): void {
    this.stop();
    const address = region.userAddress;
    this.#areas = [{ address, offset: region.offset, region }];
    this.#connection.command('SET_VRING_ADDR', encodeVringAddress(this.#index, address, address, address));
  }

  /** Hot: no allocation. */
  notify(): void {
    this.#kick.signal();
  }

  dispose(): void {
    this.#kick.dispose();
  }

  #locate(memory: DeviceMemory, low: number, high: number, length: number): RingArea {
    const area = memory.locate(low, high, length);
    if (area !== undefined) return area;
    const address = (BigInt(high) << 32n) | BigInt(low);
    throw new DeviceError(
      'ERR_DEVICE_RING_UNREACHABLE',
      `queue ${this.#index}: the back-end does not reach its ${length} bytes at 0x${address.toString(16)} in one run of memory`,
      { hint: 'the platform has to map a ring for the device, in one run, before the queue is enabled' },
    );
  }
}

/** Bytes of descriptor, driver and device area. */
function areaLengths(layout: QueueLayout, size: number): readonly number[] {
  if (layout === 'packed') return [DESCRIPTOR_SIZE * size, RING_EVENT_SIZE, RING_EVENT_SIZE];
  const { descriptorBytes, driverBytes, deviceBytes } = splitLayout(size, 4);
  return [descriptorBytes, driverBytes, deviceBytes];
}
