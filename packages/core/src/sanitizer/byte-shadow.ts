/** What is known of one byte of guest memory, as bits. */
export const ByteFlag = {
  /** The device has it: mapped for one buffer, or part of one in flight. The driver must not write it. */
  Owned: 1,
  /** The device wrote it, or may be about to: the driver must not read it before a sync. */
  Stale: 2,
  /** The driver wrote it since it was last made visible to the device. */
  Unsynced: 4,
  /** The driver sees it, and the device can still change it. */
  Shared: 8,
  /** Shared, and read once. */
  Fetched: 16,
  /** Somebody wrote it since it was allocated. */
  Written: 32,
  /** The driver wrote it, and it was never given to a device. */
  Private: 64,
  /** Mapped for the device to write, and for nobody else. */
  DeviceOnly: 128,
} as const;

/** One byte of {@link ByteFlag} bits for every byte of guest memory. */
export class ByteShadow {
  readonly flags: Uint8Array;

  constructor(size: number) {
    this.flags = new Uint8Array(size);
  }

  set(address: number, length: number, bits: number): void {
    const end = Math.min(address + length, this.flags.length);
    for (let at = Math.max(address, 0); at < end; at++) this.flags[at]! |= bits;
  }

  clear(address: number, length: number, bits: number): void {
    const end = Math.min(address + length, this.flags.length);
    for (let at = Math.max(address, 0); at < end; at++) this.flags[at]! &= ~bits;
  }

  /** The first byte of a range that has one of `bits`, or -1. */
  find(address: number, length: number, bits: number): number {
    const end = Math.min(address + length, this.flags.length);
    for (let at = Math.max(address, 0); at < end; at++) if ((this.flags[at]! & bits) !== 0) return at;
    return -1;
  }

  /** The first byte of a range that has none of `bits`, or -1. */
  findWithout(address: number, length: number, bits: number): number {
    const end = Math.min(address + length, this.flags.length);
    for (let at = Math.max(address, 0); at < end; at++) if ((this.flags[at]! & bits) === 0) return at;
    return -1;
  }
}
