/** The state of one byte of guest memory, as bits. */
export const ByteFlag = {
  /** The device owns it: it is mapped for one buffer, or part of a buffer in flight. The driver must not write it. */
  Owned: 1,
  /** The device wrote it, or may write it any time: the driver must not read it before a sync. */
  Stale: 2,
  /** The driver wrote it since it was last made visible to the device. */
  Unsynced: 4,
  /** The driver may read it, and the device can still change it. */
  Shared: 8,
  /** Shared, and the driver read it once. */
  Fetched: 16,
  /** The driver or the device wrote it since it was allocated. */
  Written: 32,
  /** The driver wrote it, and no mapping ever gave it to a device. */
  Private: 64,
  /** Mapped for the device to write only. */
  DeviceOnly: 128,
} as const;

/** {@link ByteFlag} bits for every byte of guest memory. Addresses are guest-physical, lengths are bytes. */
export class ByteShadow {
  readonly #size: number;
  /** No byte array: those of Node 20 end at 4 GiB. */
  readonly #flags: DataView;

  constructor(size: number) {
    this.#size = size;
    this.#flags = new DataView(new ArrayBuffer(size));
  }

  /** The bits of a byte of guest memory. */
  get(at: number): number {
    return this.#flags.getUint8(at);
  }

  /** Replaces the bits of a byte. */
  put(at: number, bits: number): void {
    this.#flags.setUint8(at, bits);
  }

  /** Sets bits in every byte of a range. */
  set(address: number, length: number, bits: number): void {
    const end = Math.min(address + length, this.#size);
    for (let at = Math.max(address, 0); at < end; at++) this.put(at, this.get(at) | bits);
  }

  /** Clears bits in every byte of a range. */
  clear(address: number, length: number, bits: number): void {
    const end = Math.min(address + length, this.#size);
    for (let at = Math.max(address, 0); at < end; at++) this.put(at, this.get(at) & ~bits);
  }

  /** The first byte of a range that has one of `bits`, or -1. */
  find(address: number, length: number, bits: number): number {
    const end = Math.min(address + length, this.#size);
    for (let at = Math.max(address, 0); at < end; at++) if ((this.get(at) & bits) !== 0) return at;
    return -1;
  }

  /** The first byte of a range that has none of `bits`, or -1. */
  findWithout(address: number, length: number, bits: number): number {
    const end = Math.min(address + length, this.#size);
    for (let at = Math.max(address, 0); at < end; at++) if ((this.get(at) & bits) === 0) return at;
    return -1;
  }
}
