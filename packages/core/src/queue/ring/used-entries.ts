/**
 * The used entries of a ring, as the driver's end reads them: the elements of the used ring of a split queue, or the
 * descriptors of a packed ring. A position is a free-running index of a split ring, slot and wrap counter of a packed
 * one. Hot: no allocation.
 */
export interface UsedEntries {
  /** Whether the device used the entry at a position. A split ring says it by `used.idx`: its entries always are. */
  isUsed(position: number): boolean;
  /** The id of the used entry for which {@link isUsed} was asked last. */
  usedIdAt(position: number): number;
  /** The bytes written to its buffer, according to the device. */
  usedLengthAt(position: number): number;
  /** The position behind an entry whose buffer takes so many slots of a packed ring. */
  positionBehind(position: number, slots: number): number;
}
