/**
 * Bytes of one access. A register of 64 bits is accessed as two of 32, the low one first (specification 1.4 section
 * 4.1.3.1).
 */
export type AccessWidth = 1 | 2 | 4;

/**
 * One PCI function, over any bus: one of QEMU, a VFIO device. Values are those of the registers, which are
 * little-endian on every PCI bus. Each access to a function that is gone throws {@link DeviceError} `ERR_DEVICE_LOST`.
 */
export interface PciFunction {
  /** The name in messages: `0000:00:04.0`. */
  readonly name: string;
  /** Reads configuration space. `offset` is a multiple of `width`, below 256. */
  readConfig(offset: number, width: AccessWidth): number;
  writeConfig(offset: number, width: AccessWidth, value: number): void;
  /** The registers behind base address register `index` (0 to 5); `undefined` where it maps none. */
  openBar(index: number): PciBar | undefined;
}

/** The registers that one base address register maps, in memory space or in I/O space. */
export interface PciBar {
  readonly kind: 'memory' | 'io';
  /** Bytes. */
  readonly size: number;
  /** Reads a register. `offset` is a multiple of `width`, and the whole register is below {@link size}. */
  read(offset: number, width: AccessWidth): number;
  /** Writes a register, as {@link read} reads one. Hot for notifications. */
  write(offset: number, width: AccessWidth, value: number): void;
}
