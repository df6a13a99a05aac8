import type { ByteOrder } from '../queue/ring/ring-format.ts';

/** One field of a device's configuration space. */
export interface ConfigField {
  /** Byte offset. */
  readonly offset: number;
  /** Bytes; 1, 2, 4 or 8 for a number. */
  readonly width: number;
  /** The feature that the field exists with (specification 1.4 section 2.5.1), or several of which any is enough. */
  readonly feature?: number | readonly number[];
  /** Whether the driver may write the field. */
  readonly isWritable?: boolean;
  /**
   * The order of the bytes on the legacy interface, where it is the guest's own unless given: a few fields are
   * little-endian there too (specification 1.4 section 5.5.4).
   */
  readonly byteOrder?: ByteOrder;
}

/** The configuration space of a device type: its fields by the names of the specification. */
export type ConfigTable<Name extends string = string> = Readonly<Record<Name, ConfigField>>;

/** Bytes of a configuration space with all fields of a table. */
export function configSize(table: ConfigTable): number {
  return Object.values(table).reduce((size, { offset, width }) => Math.max(size, offset + width), 0);
}
