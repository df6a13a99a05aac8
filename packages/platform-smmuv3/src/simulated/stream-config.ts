/** What the tables of a unit say of a device. The fields are written in place, so that nothing is allocated. */
export class StreamConfig {
  /** The configuration of the stream table entry: abort, bypass or stage 1. The other fields are those of stage 1. */
  kind = 0;
  /** ASID times 4, plus the code of the granule. */
  tag = 0;
  addressBits = 0;
  /** log2 of the granule. */
  pageShift = 0;
  /** Second word of the context descriptor. */
  rules = 0;
  /** Physical address of the translation table of the first level. */
  table = 0;
}
