/** Bytes of one access. Registers of 64 bits are accessed as two of 32, the low one first (specification 1.4 section 4.1.3.1). */
export type AccessWidth = 1 | 2 | 4;

/**
 * One PCI function as its driver reaches it, through whatever bus there is: QEMU driven from outside, a VFIO device. Values are
 * those of the registers, which are little-endian on every PCI bus. A function that is gone throws {@link DeviceError}
 * `ERR_DEVICE_LOST`.
 */
export interface PciFunction {
  /** As messages name it: `0000:00:04.0`. */
  readonly name: string;
  /** Reads configuration space. `offset` is a multiple of `width`, below 256. */
  readConfig(offset: number, width: AccessWidth): number;
  writeConfig(offset: number, width: AccessWidth, value: number): void;
  /** What base address register `index` (0 to 5) maps; `undefined` where it maps nothing. */
  openBar(index: number): PciBar | undefined;
}

/** What one base address register maps: registers in memory or in I/O space. */
export interface PciBar {
  readonly kind: 'memory' | 'io';
  /** Bytes. */
  readonly size: number;
  /** Reads a register: `offset` is a multiple of `width`, and all of it below {@link size}. */
  read(offset: number, width: AccessWidth): number;
  /** Hot where it is a notification: no allocation of the caller's is needed. */
  write(offset: number, width: AccessWidth, value: number): void;
}
