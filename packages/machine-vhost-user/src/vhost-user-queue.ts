import { DeviceError, type MachineRecorder } from '@virtio-platform/core';
import type { QueueAddresses, QueueLayout } from '@virtio-platform/core/queue';
import { CallPipe, EventFd, KickPipe } from '@virtio-platform/host';
import type { DeviceMemory } from './memory/device-memory.ts';
import type { MemoryRegion, PlacedRing, RingArea } from './memory/memory-regions.ts';
import { encodeU64, encodeVringAddress, encodeVringState, ringAreaBytes } from '@virtio-platform/vhost-user';
import type { VhostUserConnection } from './vhost-user-connection.ts';
/**
 * Where a ring begins: the next available index, or of a packed ring the next available and the next used slot, 16 bits
 * each, with the wrap counter on top.
 */
const FIRST: Readonly<Record<QueueLayout, number>> = { split: 0, packed: 0x8000_8000 };
/** Bits of the position of a packed ring: a slot, below its wrap counter. */
const PACKED_SLOT = 0x7fff;

/** The descriptors through which driver and back-end notify each other of one queue. */
interface Notifications {
  /** From the driver. */
  readonly kick: KickPipe;
  /** From the back-end. */
  readonly call: EventFd | CallPipe;
}

/**
 * One queue of the back-end. It is set up again after every reset, with new descriptors: what the back-end keeps of the
 * old ones does no harm.
 */
export class VhostUserQueue implements PlacedRing {
  readonly #index: number;
  readonly #isLogged: boolean;
  readonly #recorder: MachineRecorder | undefined;
  readonly #connection: VhostUserConnection;
  #notifications: Notifications | undefined;
  /** The areas of the ring as the back-end remembers them, also after the ring was stopped. */
  #areas: readonly RingArea[] = [];
  #state: 'idle' | 'running' | 'stopped' = 'idle';
  #layout: QueueLayout = 'split';
  /** Entries. */
  #size = 0;
  /** Guest memory as 16-bit words, once the ring was set up. */
  #words: Uint16Array | undefined;
  /** Where avail.idx and used.idx of a split ring are among the 16-bit words of guest memory. */
  #availIdx = 0;
  #usedIdx = 0;
  /** The next available index when it was stopped; used.idx gets there once nothing is in flight. */
  #stoppedAt = 0;
  #callsTaken = 0;
  #listener: (() => void) | undefined;

  /** `isLogged`: the back-end logs what it writes to the ring too. */
  constructor(index: number, connection: VhostUserConnection, recorder?: MachineRecorder, isLogged = false) {
    this.#isLogged = isLogged;
    this.#index = index;
    this.#connection = connection;
    this.#recorder = recorder;
  }

  /** Set up and not stopped. */
  get isRunning(): boolean {
    return this.#state === 'running';
  }

  /**
   * From the next {@link setUp} on the event loop reads the notifications of the back-end, and calls `listener` where
   * some came.
   */
  watch(listener: () => void): void {
    this.#listener = listener;
  }

  /** How many notifications of the back-end {@link takeCalls} took since the queue was set up. */
  get callsTaken(): number {
    return this.#callsTaken;
  }

  /** Whether a buffer of a split ring is available that the back-end has not returned. */
  get isBusy(): boolean {
    if (this.#state !== 'running' || this.#layout === 'packed') return false;
    return Atomics.load(this.#words!, this.#usedIdx) !== Atomics.load(this.#words!, this.#availIdx);
  }

  /**
   * Whether every buffer that the back-end took before it was stopped came back: used.idx got to where the back-end
   * stopped, or to avail.idx, which proves it for a back-end that does not say where it stopped (rust-vmm's vhost
   * answered 0 before 2023). A packed ring does not show it: there the back-end is believed to be done when it stopped,
   * as DPDK is. What is unmapped then is taken from it all the same.
   */
  get isDrained(): boolean {
    if (this.#state !== 'stopped') return this.#state === 'idle';
    if (this.#layout === 'packed') return true;
    const used = Atomics.load(this.#words!, this.#usedIdx);
    return used === this.#stoppedAt || used === Atomics.load(this.#words!, this.#availIdx);
  }

  /**
   * Gives the back-end the ring in `memory`, and descriptors for notifications. Returns the one that is readable when
   * the back-end notified, until {@link forget}. The ring works once it is enabled. Throws {@link DeviceError} and
   * {@link HostError}.
   */
  setUp(layout: QueueLayout, addresses: QueueAddresses, memory: DeviceMemory): number {
    const { size, words } = addresses;
    const lengths = ringAreaBytes(layout, size);
    const locate = (area: number): RingArea =>
      this.#locate(memory, words[2 * area]!, words[2 * area + 1]!, lengths[area]!);
    const [descriptor, driver, device] = [locate(0), locate(1), locate(2)];
    this.#areas = [descriptor, driver, device];
    this.#layout = layout;
    this.#size = size;
    this.#words = memory.memory.u16;
    this.#availIdx = driver.offset / 2 + 1;
    this.#usedIdx = device.offset / 2 + 1;
    this.#callsTaken = 0;
    return this.#start(FIRST[layout]);
  }

  /**
   * Gives the ring, as it is now, to another process that is there in the place of the back-end, and new descriptors.
   * Returns the one that is readable when it notified; `undefined` for a ring that does not run. `hasRecord` says
   * whether it has a record of what was in flight: then it knows where it goes on. Throws {@link DeviceError}
   * `ERR_DEVICE_LOST` where no end of the ring says what was in flight.
   */
  resume(hasRecord: boolean, inOrder: boolean): number | undefined {
    // No process is left that could use a buffer of a ring that was stopped.
    if (this.#state === 'stopped') this.#state = 'idle';
    if (this.#state !== 'running') return undefined;
    if (!hasRecord) this.#checkResumable(inOrder);
    // What is read of a ring while it is set up is read again by the driver: it is notified.
    const base = this.#layout === 'split' ? Atomics.load(this.#words!, this.#usedIdx) : FIRST.packed;
    const descriptor = this.#start(base);
    this.#callsTaken++;
    return descriptor;
  }

  /** Notifies the back-end of what the driver made available while there was none. */
  kick(): void {
    this.#notifications?.kick.signal();
  }

  /** Throws {@link DeviceError} where it cannot be known from the ring what was in flight. */
  #checkResumable(inOrder: boolean): void {
    const lacks = 'it is there again without INFLIGHT_SHMFD, and';
    const queue = `queue ${this.#index}`;
    if (this.#layout === 'packed')
      throw this.#lost(`${lacks} the packed ring of ${queue} does not say what was in flight`);
    // In order, the buffers from the used index on are those that did not come back.
    if (inOrder || !this.isBusy) return;
    const count = (Atomics.load(this.#words!, this.#availIdx) - Atomics.load(this.#words!, this.#usedIdx)) & 0xffff;
    throw this.#lost(`${lacks} which ${count} buffers of ${queue} were in flight is not known without IN_ORDER`);
  }

  #lost(reason: string): DeviceError {
    return this.#connection.violation('SET_VRING_BASE', reason);
  }

  /** Says where the ring is and starts it at `base`. Returns the descriptor that is readable after a notification. */
  #start(base: number): number {
    const { kick, call } = this.#openNotifications();
    const index = this.#index;
    const connection = this.#connection;
    const [descriptor, driver, device] = this.#areas;
    connection.command('SET_VRING_NUM', encodeVringState(index, this.#size));
    connection.command('SET_VRING_BASE', encodeVringState(index, base));
    const log = this.#isLogged ? loggedAddress(device!) : undefined;
    const address = encodeVringAddress(index, descriptor!.address, driver!.address, device!.address, log);
    connection.command('SET_VRING_ADDR', address);
    // The first kick descriptor starts the ring, enabled or not.
    this.#state = 'running';
    connection.command('SET_VRING_KICK', encodeU64(BigInt(index)), [kick.descriptor]);
    connection.command('SET_VRING_CALL', encodeU64(BigInt(index)), [call.descriptor]);
    kick.closeReadEnd();
    // libvhost-user signals a call descriptor as soon as it gets it.
    call.drain();
    if (!(call instanceof CallPipe)) return call.descriptor;
    call.closeWriteEnd();
    return call.readEnd;
  }

  /** Lets the back-end work on the ring. Throws {@link DeviceError}. */
  enable(): void {
    this.#connection.command('SET_VRING_ENABLE', encodeVringState(this.#index, 1));
  }

  /** Stops the ring: the back-end takes no more buffers. Those it has it still works on. Throws {@link DeviceError}. */
  stop(): void {
    if (this.#state !== 'running') return;
    // A ring stays enabled when it is stopped, and would be served from its next start on, before DRIVER_OK.
    this.#connection.command('SET_VRING_ENABLE', encodeVringState(this.#index, 0));
    const reply = this.#connection.query('GET_VRING_BASE', encodeVringState(this.#index, 0), 8);
    this.#state = 'stopped';
    this.#stoppedAt = this.#checkedBase(reply.getUint32(0, true), reply.getUint32(4, true));
  }

  /** The reset is complete: the ring's memory is the driver's again. */
  forget(): void {
    this.#state = 'idle';
    this.#closeNotifications();
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

  /**
   * Returns false where the back-end closed the descriptor for it although the queue runs. libvhost-user closes it when
   * the queue is stopped. Hot: no allocation.
   */
  notify(): boolean {
    return this.#state !== 'running' || this.#notifications!.kick.signal();
  }

  /** Takes the notifications of the back-end. Returns whether there was one. Never waits. */
  takeCalls(): boolean {
    return this.#take(this.#notifications?.call.drain() ?? 0);
  }

  /** As {@link takeCalls}, of what the event loop read. Hot: no system call. */
  takeWatchedCalls(): boolean {
    const call = this.#notifications?.call;
    return this.#take(call instanceof CallPipe ? call.takePending() : 0);
  }

  dispose(): void {
    this.#closeNotifications();
  }

  #take(calls: number): boolean {
    this.#callsTaken += calls;
    if (calls > 0) this.#recorder?.record('interrupt', this.#index, -1, 0, 0, 0);
    return calls > 0;
  }

  #openNotifications(): Notifications {
    this.#closeNotifications();
    const kick = new KickPipe();
    try {
      const call = this.#listener === undefined ? new EventFd() : new CallPipe(this.#listener);
      return (this.#notifications = { kick, call });
    } catch (error) {
      kick.dispose();
      throw error;
    }
  }

  #closeNotifications(): void {
    this.#notifications?.kick.dispose();
    this.#notifications?.call.dispose();
    this.#notifications = undefined;
  }

  /** Checks where the back-end says that it stopped. Throws {@link DeviceError} `ERR_DEVICE_LOST`. */
  #checkedBase(index: number, base: number): number {
    const queue = `queue ${this.#index}`;
    if (index !== this.#index) throw this.#wrongBase(`it answered for queue ${index} instead of ${queue}`);
    if (this.#layout === 'packed') {
      const slot = base & PACKED_SLOT;
      if (slot < this.#size) return base;
      throw this.#wrongBase(`it stopped ${queue} at slot ${slot} of ${this.#size}`);
    }
    const used = Atomics.load(this.#words!, this.#usedIdx);
    const available = Atomics.load(this.#words!, this.#availIdx);
    const inFlight = (available - used) & 0xffff;
    if (inFlight > this.#size) {
      throw this.#wrongBase(`the used index of ${queue} is ${used}, past the available index ${available}`);
    }
    const isBetween = base <= 0xffff && ((base - used) & 0xffff) <= inFlight;
    if (isBetween || base === 0) return base;
    const indices = `its used index ${used} and available index ${available}`;
    throw this.#wrongBase(`it stopped ${queue} at ${base}, outside of ${indices}`);
  }

  #wrongBase(reason: string): DeviceError {
    return this.#connection.violation('GET_VRING_BASE', reason);
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

/** Where an area is for the log: as the device says it where the back-end translates, else as the guest does. */
function loggedAddress({ address, offset, region }: RingArea): bigint {
  return region === undefined ? address : region.guestAddress + BigInt(offset - region.offset);
}
