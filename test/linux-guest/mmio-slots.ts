import type { DebianArchitecture } from './debian-packages.ts';

/**
 * The first virtio-mmio slot of the machine that has such slots, for each architecture (QEMU hw/i386/microvm.c,
 * VIRTIO_MMIO_BASE; hw/arm/virt.c, VIRT_MMIO).
 */
const FIRST_SLOTS: Readonly<Partial<Record<DebianArchitecture, number>>> = { amd64: 0xfeb0_0000, arm64: 0x0a00_0000 };
/** From one slot to the next. */
const SLOT_BYTES = 0x200;

/** Where the registers of a slot are. */
export function slotAddress(architecture: DebianArchitecture, slot: number): number {
  return firstSlot(architecture) + slot * SLOT_BYTES;
}

/** The slot whose registers are at an address. */
export function slotAt(architecture: DebianArchitecture, address: number): number {
  return (address - firstSlot(architecture)) / SLOT_BYTES;
}

function firstSlot(architecture: DebianArchitecture): number {
  const first = FIRST_SLOTS[architecture];
  if (first === undefined) throw new TypeError(`no machine for ${architecture} has slots of virtio-mmio`);
  return first;
}
