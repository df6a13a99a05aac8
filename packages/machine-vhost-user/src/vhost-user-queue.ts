import { DeviceError, splitLayout, type GuestMemory, type QueueAddresses } from '@virtio-platform/core';
import { EventFd } from '@virtio-platform/host';
import type { MemoryRegion, MemoryRegions } from './memory/memory-regions.ts';
import { encodeU64, encodeVringAddress, encodeVringState } from './protocol.ts';
import type { VhostUserConnection } from './vhost-user-connection.ts';

/** Where one area of a ring is: the region that holds it, and how far into that. */
interface RingArea {
  readonly region: MemoryRegion;
  readonly into: bigint;
}

/** One queue of the back-end, from start to stop. Started anew after every reset: the back-end forgets its descriptors. */
export class VhostUserQueue {
  readonly #index: number;
  readonly #connection: VhostUserConnection;
  readonly #memory: GuestMemory;
  readonly #kick: EventFd = new EventFd();
  /** User addresses that the back-end knows of this ring: it remembers them when the ring is stopped. */
  #areas: readonly RingArea[] = [];
  #state: 'idle' | 'running' | 'stopped' = 'idle';
  /** Where used.idx is among the 16-bit words of guest memory. */
  #usedIdx = 0;
  /** The next available index when it was stopped; used.idx gets there once nothing is in flight. */
  #stoppedAt = 0;

  constructor(index: number, connection: VhostUserConnection, memory: GuestMemory) {
    this.#index = index;
    this.#connection = connection;
    this.#memory = memory;
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  /** Whether every buffer that the back-end took before it was stopped came back. */
  get isDrained(): boolean {
    if (this.#state !== 'stopped') return this.#state === 'idle';
    return Atomics.load(this.#memory.u16, this.#usedIdx) === this.#stoppedAt;
  }

  /** Sets up the rings and lets the back-end go. Throws {@link DeviceError}. */
  start(regions: MemoryRegions, { size, words }: QueueAddresses, call: EventFd): void {
    const layout = splitLayout(size, 4);
    const locate = (area: number, length: number): RingArea =>
      this.#locate(regions, words[2 * area]!, words[2 * area + 1]!, length);
    const descriptor = locate(0, layout.descriptorBytes);
    const driver = locate(1, layout.driverBytes);
    const device = locate(2, layout.deviceBytes);
    this.#areas = [descriptor, driver, device];
    this.#usedIdx = (device.region.offset + Number(device.into)) / 2 + 1;

    const index = this.#index;
    const connection = this.#connection;
    connection.command('SET_VRING_NUM', encodeVringState(index, size));
    connection.command('SET_VRING_BASE', encodeVringState(index, 0));
    connection.command(
      'SET_VRING_ADDR',
      encodeVringAddress(index, userAddress(descriptor), userAddress(driver), userAddress(device)),
    );
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

  /** Whether the back-end knows this ring, running or not, to lie in a region. */
  isIn(region: MemoryRegion): boolean {
    return this.#areas.some((area) => area.region === region);
  }

  /** Stops the ring, and has the back-end remember it at the start of another region. Throws {@link DeviceError}. */
  move(region: MemoryRegion): void {
    this.stop();
    const area = { region, into: 0n };
    const address = userAddress(area);
    this.#areas = [area];
    this.#connection.command('SET_VRING_ADDR', encodeVringAddress(this.#index, address, address, address));
  }

  /** Hot: no allocation. */
  notify(): void {
    this.#kick.signal();
  }

  dispose(): void {
    this.#kick.dispose();
  }

  #locate(regions: MemoryRegions, low: number, high: number, length: number): RingArea {
    const address = (BigInt(high) << 32n) | BigInt(low);
    const region = regions.find(address, length);
    if (region !== undefined) return { region, into: address - region.guestAddress };
    throw new DeviceError(
      'ERR_DEVICE_RING_UNREACHABLE',
      `queue ${this.#index}: its ${length} bytes at 0x${address.toString(16)} are in no one memory region of the back-end`,
      { hint: 'the platform has to map a ring for the device, in one run, before the queue is enabled' },
    );
  }
}

function userAddress({ region, into }: RingArea): bigint {
  return region.userAddress + into;
}
