/** The kinds of mismatch: what a request that came back got wrong. */
export const MISMATCH_KINDS = [
  'status-error',
  'status-unknown',
  'status-missing',
  'used-length',
  'data',
  'length',
  'lost',
  'unexpected',
] as const;
/** One of {@link MISMATCH_KINDS}. */
export type MismatchKind = (typeof MISMATCH_KINDS)[number];

/** One request whose result is wrong, with its place. */
export interface Mismatch {
  readonly kind: MismatchKind;
  /** The number of the request, counted from 1 in the order in which requests completed. */
  readonly request: number;
  /** The operation and its place on the device: `read of sector 312`, `frame 17 of link 0`. */
  readonly what: string;
  /** One sentence: what is wrong. */
  readonly detail: string;
  readonly queue: number;
  /** The id of the buffer in its queue: its head descriptor, or the buffer id of a packed ring. */
  readonly buffer: number | null;
  /** Guest-physical address of the data, hexadecimal. */
  readonly address: string | null;
  /** Device address of the data, hexadecimal; `null` where the mapping ended with the request. */
  readonly deviceAddress: string | null;
  /** Of the data: the first byte that differs and both values; `null` where the data is not what is wrong. */
  readonly difference: { readonly offset: number; readonly expected: number; readonly actual: number } | null;
  /** The status byte of the request; `null` where the device type has none. */
  readonly status: number | null;
  /** The used length that the device gave, and the least that it may be. */
  readonly used: { readonly length: number; readonly least: number } | null;
}

/** The mismatches of a workload: how many of each kind, and the first of each. */
export interface MismatchReport {
  readonly counts: Readonly<Partial<Record<MismatchKind, number>>>;
  readonly first: readonly Mismatch[];
}
