import type { DeviceAccess, DeviceAddressSpace, FaultLog } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { KIND } from '../event-kind.ts';
import type { Recorder } from '../recorder.ts';

/** A device's address space whose accesses are recorded, and which of them faulted. Hot: no allocation. */
export class RecordedAddressSpace implements DeviceAddressSpace {
  readonly memory: GuestMemory;
  readonly faults: FaultLog;
  readonly freeze?: (isFrozen: boolean) => void;
  readonly reset?: () => void;
  readonly #inner: DeviceAddressSpace;
  readonly #recorder: Recorder;

  constructor(inner: DeviceAddressSpace, recorder: Recorder) {
    this.memory = inner.memory;
    this.faults = inner.faults;
    if (inner.freeze !== undefined) this.freeze = (isFrozen) => inner.freeze!(isFrozen);
    if (inner.reset !== undefined) this.reset = () => inner.reset!();
    this.#inner = inner;
    this.#recorder = recorder;
  }

  get generation(): number {
    return this.#inner.generation;
  }

  read(low: number, high: number, target: Uint8Array, at: number, length: number): boolean {
    const isRead = this.#inner.read(low, high, target, at, length);
    this.#recorder.record(KIND.read, -1, isRead ? 1 : 0, -1, low, high, length, 0);
    if (!isRead) this.#noteFault();
    return isRead;
  }

  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    const isWritten = this.#inner.write(low, high, source, at, length);
    this.#recorder.record(KIND.write, -1, isWritten ? 1 : 0, -1, low, high, length, 0);
    if (!isWritten) this.#noteFault();
    return isWritten;
  }

  borrow(low: number, high: number, length: number, access: DeviceAccess): number {
    const address = this.#inner.borrow(low, high, length, access);
    const isBorrowed = address >= 0 ? 1 : 0;
    this.#recorder.record(KIND.borrow, -1, isBorrowed, address, low, high, length, access === 'write' ? 1 : 0);
    if (address < 0) this.#noteFault();
    return address;
  }

  #noteFault(): void {
    const fault = this.faults.entries.at(-1);
    if (fault === undefined) return;
    const { access, length, address, cause } = fault;
    this.#recorder.note(KIND.fault, -1, 0, `${access} of ${length} bytes at 0x${address.toString(16)}: ${cause}`);
  }
}
