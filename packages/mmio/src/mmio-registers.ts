import type { AccessWidth } from '@virtio-platform/core/device';

export type { AccessWidth };

/**
 * The registers of one virtio-mmio device, over any bus: a slot of a QEMU machine, a device in this process. Values are
 * those of the registers, which are little-endian (specification 1.4 section 4.2.2), as unsigned numbers. Each access
 * to a device that is gone throws {@link DeviceError} `ERR_DEVICE_LOST`.
 */
export interface MmioRegisters {
  /** The name in messages: `virtio-mmio slot 3 (0xfeb00600)`. */
  readonly name: string;
  /** Bytes of the window, control registers included: 512 on most machines. */
  readonly size: number;
  /** Reads a register. `offset` is a multiple of `width`, and the whole register is below {@link size}. */
  read(offset: number, width: AccessWidth): number;
  /** Writes a register, as {@link read} reads one. Hot for notifications. */
  write(offset: number, width: AccessWidth, value: number): void;
}

/**
 * Offsets of the control registers, each of 32 bits (specification 1.4 sections 4.2.2 and 4.2.4). Names are those of
 * the specification.
 */
export const MMIO = {
  MagicValue: 0x000,
  Version: 0x004,
  DeviceID: 0x008,
  VendorID: 0x00c,
  DeviceFeatures: 0x010,
  DeviceFeaturesSel: 0x014,
  DriverFeatures: 0x020,
  DriverFeaturesSel: 0x024,
  /** Legacy only. */
  GuestPageSize: 0x028,
  QueueSel: 0x030,
  QueueNumMax: 0x034,
  QueueNum: 0x038,
  /** Legacy only. */
  QueueAlign: 0x03c,
  /** Legacy only. */
  QueuePFN: 0x040,
  QueueReady: 0x044,
  QueueNotify: 0x050,
  InterruptStatus: 0x060,
  InterruptACK: 0x064,
  Status: 0x070,
  QueueDescLow: 0x080,
  QueueDescHigh: 0x084,
  QueueDriverLow: 0x090,
  QueueDriverHigh: 0x094,
  QueueDeviceLow: 0x0a0,
  QueueDeviceHigh: 0x0a4,
  SHMSel: 0x0ac,
  SHMLenLow: 0x0b0,
  SHMLenHigh: 0x0b4,
  SHMBaseLow: 0x0b8,
  SHMBaseHigh: 0x0bc,
  QueueReset: 0x0c0,
  ConfigGeneration: 0x0fc,
  /** Device configuration begins here. */
  Config: 0x100,
} as const;

/** The registers of a queue's addresses, in the order of `QueueAddresses.words`. */
export const MMIO_QUEUE_AREAS: readonly number[] = [
  MMIO.QueueDescLow,
  MMIO.QueueDescHigh,
  MMIO.QueueDriverLow,
  MMIO.QueueDriverHigh,
  MMIO.QueueDeviceLow,
  MMIO.QueueDeviceHigh,
];

/** What MagicValue reads as: the characters `virt`. */
export const MMIO_MAGIC = 0x7472_6976;
/** What Version reads as on the modern interface. */
export const MMIO_VERSION_MODERN = 2;
/** What Version reads as on the legacy interface. */
export const MMIO_VERSION_LEGACY = 1;
/** Bit of InterruptStatus: the device used a buffer. */
export const MMIO_INTERRUPT_USED = 1;
/** Bit of InterruptStatus: the configuration changed. */
export const MMIO_INTERRUPT_CONFIG = 2;
