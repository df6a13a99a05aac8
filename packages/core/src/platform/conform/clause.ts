/** One requirement of the specification on devices, by which the coverage of `conform` is counted. */
export interface Clause {
  /** The section of virtio 1.4, which cases name: `2.7.8.2`. */
  readonly section: string;
  /** `text`: not among the normative statements, and what interoperation depends on. */
  readonly level: 'MUST' | 'SHOULD' | 'text';
  /** What it requires, in a few words. */
  readonly requires: string;
  /** Why a driver cannot see whether a device does it; absent where it can. */
  readonly unseen?: string;
}
