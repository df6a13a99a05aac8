/** The QEMU machine types on which the device is a function of a PCI bus. */
export const PCI_BOARDS = ['pc', 'q35', 'pseries'] as const;
/** The QEMU machine types on which the device is in a slot of virtio-mmio. */
export const MMIO_BOARDS = ['microvm', 'virt'] as const;
/** The QEMU machine types that this machine supports. */
export const BOARDS = ['pc', 'q35', 'pseries', 'microvm', 'virt'] as const;
/** One of {@link MMIO_BOARDS}. */
export type MmioBoardName = (typeof MMIO_BOARDS)[number];
/** One of {@link BOARDS}. */
export type BoardName = (typeof BOARDS)[number];

/** Whether the device is in a slot of virtio-mmio on this board. */
export function isMmioBoard(board: BoardName): board is MmioBoardName {
  return MMIO_BOARDS.some((name) => name === board);
}
