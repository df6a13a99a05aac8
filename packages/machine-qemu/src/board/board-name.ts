/** The QEMU machine types that have a PCI bus. */
export const PCI_BOARDS = ['pc', 'q35', 'pseries', 'virt'] as const;
/** The QEMU machine types that have slots of virtio-mmio. */
export const MMIO_BOARDS = ['microvm', 'virt'] as const;
/** The QEMU machine types that this machine supports. */
export const BOARDS = ['pc', 'q35', 'pseries', 'microvm', 'virt'] as const;
/** One of {@link MMIO_BOARDS}. */
export type MmioBoardName = (typeof MMIO_BOARDS)[number];
/** One of {@link BOARDS}. */
export type BoardName = (typeof BOARDS)[number];

/** Where the device of a board is. */
export const BUSES = ['mmio', 'pci'] as const;
/** One of {@link BUSES}. */
export type Bus = (typeof BUSES)[number];

/** The buses that a board has. The first is the one of a profile that names none. */
export function busesOf(board: BoardName): readonly [Bus, ...Bus[]] {
  if (!PCI_BOARDS.some((name) => name === board)) return ['mmio'];
  return hasSlots(board) ? ['mmio', 'pci'] : ['pci'];
}

/** Whether a board has slots of virtio-mmio. */
export function hasSlots(board: BoardName): board is MmioBoardName {
  return MMIO_BOARDS.some((name) => name === board);
}
