import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { Bug } from './broken-device.ts';

/** Reaches memory as `changed` says, and otherwise as the device does. */
function reaching(
  name: string,
  changed: (inner: DeviceAddressSpace) => Partial<Pick<DeviceAddressSpace, 'read' | 'write' | 'borrow'>>,
): Bug {
  return { name, space: (inner) => new OtherSpace(inner, changed(inner)) };
}

class OtherSpace implements DeviceAddressSpace {
  readonly #inner: DeviceAddressSpace;
  readonly #changed: ReturnType<Parameters<typeof reaching>[1]>;

  constructor(inner: DeviceAddressSpace, changed: ReturnType<Parameters<typeof reaching>[1]>) {
    this.#inner = inner;
    this.#changed = changed;
  }

  get memory(): DeviceAddressSpace['memory'] {
    return this.#inner.memory;
  }

  get faults(): DeviceAddressSpace['faults'] {
    return this.#inner.faults;
  }

  get generation(): number {
    return this.#inner.generation;
  }

  read(...args: Parameters<DeviceAddressSpace['read']>): boolean {
    return this.#changed.read?.(...args) ?? this.#inner.read(...args);
  }

  write(...args: Parameters<DeviceAddressSpace['write']>): boolean {
    return this.#changed.write?.(...args) ?? this.#inner.write(...args);
  }

  borrow(...args: Parameters<DeviceAddressSpace['borrow']>): number {
    return this.#changed.borrow?.(...args) ?? this.#inner.borrow(...args);
  }

  freeze(isFrozen: boolean): void {
    this.#inner.freeze?.(isFrozen);
  }

  reset(): void {
    this.#inner.reset?.();
  }
}

/** A device that reads, and one that writes, where it was given nothing. */
export function straying(low: number, high: number): readonly Bug[] {
  const reads = (inner: DeviceAddressSpace): void => void inner.read(low, high, new Uint8Array(16), 0, 16);
  const writes = (inner: DeviceAddressSpace): void => void inner.write(low, high, Uint8Array.of(1), 0, 1);
  const both = [
    ['reads', reads],
    ['writes', writes],
  ] as const;
  return both.map(([what, strays]) =>
    reaching(`${what} where it was given nothing`, (inner) => ({
      read: (...args) => {
        strays(inner);
        return inner.read(...args);
      },
      borrow: (...args) => {
        strays(inner);
        return inner.borrow(...args);
      },
    })),
  );
}

/** Takes a device address for one of memory. */
export const UNTRANSLATED: Bug = reaching('takes device addresses for those of memory', ({ memory }) => {
  const placeOf = (low: number, high: number, length: number): number =>
    high === 0 && low + length <= memory.size ? low : -1;
  return {
    read: (low, high, target, at, length) => {
      const place = placeOf(low, high, length);
      if (place >= 0) target.set(memory.u8.subarray(place, place + length), at);
      return place >= 0;
    },
    write: (low, high, source, at, length) => {
      const place = placeOf(low, high, length);
      if (place >= 0) memory.u8.set(source.subarray(at, at + length), place);
      return place >= 0;
    },
    borrow: placeOf,
  };
});
