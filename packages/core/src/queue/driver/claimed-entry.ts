import type { UsedEntries } from '../ring/used-entries.ts';

/** The used entry of one buffer that has none of its own in the ring: with IN_ORDER, one entry stands for several. */
export class ClaimedEntry implements UsedEntries {
  id = 0;
  length = 0;

  isUsed(_position: number): boolean {
    return true;
  }

  usedIdAt(_position: number): number {
    return this.id;
  }

  usedLengthAt(_position: number): number {
    return this.length;
  }

  positionBehind(position: number, _slots: number): number {
    return position;
  }
}
