import type { DeviceAccess, DeviceAddressSpace, FaultLog } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { KIND } from '../event-kind.ts';
import type { Recorder } from '../recorder.ts';

/** A device's address space whose accesses are recorded. Hot: no allocation. */
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
    const faults = this.faults.count;
    const isRead = this.#inner.read(low, high, target, at, length);
    this.#recorder.record(KIND.read, -1, this.#isRight(isRead, faults), -1, low, high, length, 0);
    return isRead;
  }

  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    const faults = this.faults.count;
    const isWritten = this.#inner.write(low, high, source, at, length);
    this.#recorder.record(KIND.write, -1, this.#isRight(isWritten, faults), -1, low, high, length, 0);
    return isWritten;
  }

  borrow(low: number, high: number, length: number, access: DeviceAccess): number {
    const faults = this.faults.count;
    const address = this.#inner.borrow(low, high, length, access);
    const isBorrowed = this.#isRight(address >= 0, faults);
    this.#recorder.record(KIND.borrow, -1, isBorrowed, address, low, high, length, access === 'write' ? 1 : 0);
    return address;
  }

  /** 0 after a fault, also where the device is not told of it: where it reads zeros, and its writes are dropped. */
  #isRight(isDone: boolean, faults: number): number {
    return isDone && this.faults.count === faults ? 1 : 0;
  }
}
