/** What the tables of a unit say of a device. The fields are written in place, so that nothing is allocated. */
export class RequesterEntry {
  /** The translation type of a context entry, also where a PASID entry has it. */
  type = 0;
  domain = 0;
  levels = 0;
  /** Physical address of the page table of the highest level. */
  table = 0;
}
