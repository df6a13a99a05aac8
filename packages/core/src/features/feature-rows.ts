/** The transports between which features differ: how a driver reaches the registers of a device. */
export const TRANSPORT_KINDS = ['pci', 'mmio', 'channel-io', 'legacy'] as const;
/** One of {@link TRANSPORT_KINDS}. */
export type TransportKind = (typeof TRANSPORT_KINDS)[number];
/** The transports of specification 1.4 section 4. `legacy` is an interface, which PCI and MMIO have too. */
export type BusKind = Exclude<TransportKind, 'legacy'>;

/** What one row of the feature table says beside number and name. */
export interface FeatureFacts {
  /** Each entry is a bit that must be accepted too, or several bits of which one must. */
  readonly requires?: readonly (number | readonly number[])[];
  /** The transports on which the feature does not exist, each with its source. */
  readonly absentOn?: { readonly [Kind in TransportKind]?: string };
  /** Why the driver half does not accept the feature, where that is on purpose: what `explain` adds to the rule. */
  readonly undriven?: string;
}

/** One row of the feature table: all that is known of one feature bit. */
export interface FeatureRow extends FeatureFacts {
  /** 0 to 127. */
  readonly bit: number;
  /** As profiles and reports write it, without `VIRTIO_` and `F_`: `VERSION_1`, `RING_EVENT_IDX`, `BLK_FLUSH`. */
  readonly name: string;
}

/** Rows of the feature table that come from one place. A device type brings such rows of its own. */
export interface FeatureTable {
  /** Where the specification says which features require others. */
  readonly source: string;
  readonly rows: readonly FeatureRow[];
}

/**
 * The rows of the bits that the specification reserves, or of one device type. The declaration of a constant adds its
 * row, so a new feature is one statement:
 *
 * ```ts
 * export const VIRTIO_BLK_F_CONFIG_WCE: number = BLOCK_FEATURES.bit(11, 'BLK_CONFIG_WCE', { requires:
 * [VIRTIO_BLK_F_FLUSH] });
 * ```
 */
export class FeatureRows implements FeatureTable {
  readonly source: string;
  readonly #rows: FeatureRow[] = [];

  constructor(source: string) {
    this.source = source;
  }

  /** The rows in bit order. */
  get rows(): readonly FeatureRow[] {
    return this.#rows.toSorted((a, b) => a.bit - b.bit);
  }

  /** Adds a row and returns its bit. Throws `TypeError` for a bit or a name that another row has. */
  bit(bit: number, name: string, facts: FeatureFacts = {}): number {
    const other = this.#rows.find((row) => row.bit === bit || row.name === name);
    if (other !== undefined) throw new TypeError(`feature ${name}, bit ${bit}: ${other.name} is bit ${other.bit}`);
    this.#rows.push({ ...facts, bit, name });
    return bit;
  }
}
