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
  /** Faults that were noted, or that were there before. */
  #noted: number;

  constructor(inner: DeviceAddressSpace, recorder: Recorder) {
    this.memory = inner.memory;
    this.faults = inner.faults;
    if (inner.freeze !== undefined) this.freeze = (isFrozen) => inner.freeze!(isFrozen);
    if (inner.reset !== undefined) this.reset = () => inner.reset!();
    this.#inner = inner;
    this.#recorder = recorder;
    this.#noted = inner.faults.entries.length;
  }

  get generation(): number {
    return this.#inner.generation;
  }

  read(low: number, high: number, target: Uint8Array, at: number, length: number): boolean {
    const isRead = this.#inner.read(low, high, target, at, length);
    this.#recorder.record(KIND.read, -1, this.#isRight(isRead), -1, low, high, length, 0);
    this.#noteFaults();
    return isRead;
  }

  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    const isWritten = this.#inner.write(low, high, source, at, length);
    this.#recorder.record(KIND.write, -1, this.#isRight(isWritten), -1, low, high, length, 0);
    this.#noteFaults();
    return isWritten;
  }

  borrow(low: number, high: number, length: number, access: DeviceAccess): number {
    const address = this.#inner.borrow(low, high, length, access);
    const isBorrowed = this.#isRight(address >= 0);
    this.#recorder.record(KIND.borrow, -1, isBorrowed, address, low, high, length, access === 'write' ? 1 : 0);
    this.#noteFaults();
    return address;
  }

  /** 0 after a fault, also where the device is not told of it: where it reads zeros, and its writes are dropped. */
  #isRight(isDone: boolean): number {
    return isDone && this.faults.entries.length === this.#noted ? 1 : 0;
  }

  #noteFaults(): void {
    const { entries } = this.faults;
    for (; this.#noted < entries.length; this.#noted++) {
      const { access, length, address, cause } = entries[this.#noted]!;
      this.#recorder.note(KIND.fault, -1, 0, `${access} of ${length} bytes at 0x${address.toString(16)}: ${cause}`);
    }
  }
}
