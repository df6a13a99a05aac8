/** Entries of the longest indirection table of both halves. */
export const NET_LONGEST_TABLE = 128;

/** What a driver sends with RSS_CONFIG (specification 1.4 section 5.1.6.5.7). */
export interface ScalingConfig {
  /** Bits of the hash types that are used. */
  readonly hashTypes: number;
  /** Indices of receive queues from 0 on, a power of two of them: the low bits of the hash choose one. */
  readonly table: readonly number[];
  /** The index of the receive queue of frames without a hash. */
  readonly unclassified: number;
  /** How many transmit queues are used. */
  readonly transmitQueues: number;
  /** Bytes of the Toeplitz key: at most `rss_max_key_size`. */
  readonly key: Uint8Array;
}

/** What a driver sends with HASH_CONFIG (specification 1.4 section 5.1.6.5.6). */
export interface HashConfig {
  /** Bits of the hash types that are used. */
  readonly hashTypes: number;
  readonly key: Uint8Array;
}

/** Where the indirection table of RSS_CONFIG begins. */
const TABLE_AT = 8;

/** The data of the command RSS_CONFIG. */
export function encodeScaling(config: ScalingConfig, littleEndian: boolean): Uint8Array {
  const { hashTypes, table, unclassified, transmitQueues, key } = config;
  const end = TABLE_AT + 2 * table.length;
  const bytes = new Uint8Array(end + 3 + key.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, hashTypes, littleEndian);
  view.setUint16(4, table.length - 1, littleEndian);
  view.setUint16(6, unclassified, littleEndian);
  for (const [i, queue] of table.entries()) view.setUint16(TABLE_AT + 2 * i, queue, littleEndian);
  view.setUint16(end, transmitQueues, littleEndian);
  view.setUint8(end + 2, key.length);
  bytes.set(key, end + 3);
  return bytes;
}

/** How many transmit queues are used after the command RSS_CONFIG; `undefined` for data that ends before it says. */
export function transmitQueuesOf(data: DataView, littleEndian: boolean): number | undefined {
  if (data.byteLength < TABLE_AT) return undefined;
  const at = TABLE_AT + 2 * (data.getUint16(4, littleEndian) + 1);
  return data.byteLength < at + 2 ? undefined : data.getUint16(at, littleEndian);
}

/** The data of the command HASH_CONFIG. */
export function encodeHash({ hashTypes, key }: HashConfig, littleEndian: boolean): Uint8Array {
  const bytes = new Uint8Array(13 + key.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, hashTypes, littleEndian);
  view.setUint8(12, key.length);
  bytes.set(key, 13);
  return bytes;
}
