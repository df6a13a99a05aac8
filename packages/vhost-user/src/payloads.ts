/** A part of guest memory that a back-end may reach, in its own words. */
export interface RegionDescription {
  /** What descriptors say: the device address of the first byte. */
  readonly guestAddress: bigint;
  readonly size: number;
  /** What SET_VRING_ADDR says: a name for the first byte, unique among the regions. */
  readonly userAddress: bigint;
  /** Where it starts in the file that is passed along. */
  readonly offset: number;
}

/** The payload of requests that carry one u64. */
export function encodeU64(value: bigint): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setBigUint64(0, value, true);
  return new Uint8Array(bytes.buffer);
}

/** struct vhost_vring_state. */
export function encodeVringState(index: number, value: number): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setUint32(0, index, true);
  bytes.setUint32(4, value, true);
  return new Uint8Array(bytes.buffer);
}

/** Bit of the flags of SET_VRING_ADDR: writes to the ring are to be logged (VHOST_VRING_F_LOG). */
export const VRING_F_LOG = 1;

/**
 * struct vhost_vring_addr. Its order is descriptor, used, available, log. With `log`, which is the device address of
 * the device area, the writes to the ring are to be logged.
 */
export function encodeVringAddress(
  index: number,
  descriptor: bigint,
  driver: bigint,
  device: bigint,
  log?: bigint,
): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(40));
  bytes.setUint32(0, index, true);
  bytes.setUint32(4, log === undefined ? 0 : VRING_F_LOG, true);
  bytes.setBigUint64(32, log ?? 0n, true);
  bytes.setBigUint64(8, descriptor, true);
  bytes.setBigUint64(16, device, true);
  bytes.setBigUint64(24, driver, true);
  return new Uint8Array(bytes.buffer);
}

/** The payload of ADD_MEM_REG and REM_MEM_REG. */
export function encodeRegion(region: RegionDescription): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(40));
  bytes.setBigUint64(8, region.guestAddress, true);
  bytes.setBigUint64(16, BigInt(region.size), true);
  bytes.setBigUint64(24, region.userAddress, true);
  bytes.setBigUint64(32, BigInt(region.offset), true);
  return new Uint8Array(bytes.buffer);
}

/** The payload of SET_MEM_TABLE, with one region. */
export function encodeMemoryTable(region: RegionDescription): Uint8Array {
  const bytes = encodeRegion(region);
  // What is padding in front of a region is the number of regions in front of a table.
  bytes[0] = 1;
  return bytes;
}

/** Bytes before the configuration itself: u32 offset, u32 size, u32 flags. */
export const CONFIG_HEADER_BYTES = 12;

/** struct vhost_user_config, written by the driver. */
export function encodeConfig(offset: number, source: Uint8Array): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(CONFIG_HEADER_BYTES + source.length));
  bytes.setUint32(0, offset, true);
  bytes.setUint32(4, source.length, true);
  new Uint8Array(bytes.buffer).set(source, CONFIG_HEADER_BYTES);
  return new Uint8Array(bytes.buffer);
}

/** What the message of a configuration says of itself: struct vhost_user_config, without the bytes. */
export function decodeConfigHeader(payload: DataView): ReceivedConfigHeader {
  return { offset: payload.getUint32(0, true), size: payload.getUint32(4, true), flags: payload.getUint32(8, true) };
}

/** Which bytes of a configuration a message is about, as its sender says: nothing of it is checked. */
export interface ReceivedConfigHeader {
  readonly offset: number;
  readonly size: number;
  /** 0 where the driver writes, 1 after a migration. */
  readonly flags: number;
}

/** A region as a front-end describes it: nothing of it is checked. */
export interface ReceivedRegion {
  readonly guestAddress: bigint;
  readonly size: bigint;
  readonly userAddress: bigint;
  /** Where it starts in the file that was passed along. */
  readonly offset: bigint;
}

/** Bytes of one region in a table. */
const REGION_BYTES = 32;
/** Bytes in front of the regions of a table, or of the one region of ADD_MEM_REG. */
const REGIONS_AT = 8;

/** Where a ring is, as a front-end says: nothing of it is checked. */
export interface ReceivedVringAddress {
  readonly index: number;
  /** The user addresses of descriptor, driver and device area; I/O virtual addresses with ACCESS_PLATFORM. */
  readonly areas: readonly [descriptor: bigint, driver: bigint, device: bigint];
  /** {@link VRING_F_LOG}. */
  readonly flags: number;
  /** Where the device area is for the log. */
  readonly log: bigint;
}

/** A payload of one u64. */
export function decodeU64(payload: DataView): bigint {
  return payload.getBigUint64(0, true);
}

/** struct vhost_vring_state. */
export function decodeVringState(payload: DataView): { readonly index: number; readonly value: number } {
  return { index: payload.getUint32(0, true), value: payload.getUint32(4, true) };
}

/** struct vhost_vring_addr. */
export function decodeVringAddress(payload: DataView): ReceivedVringAddress {
  const word = (at: number): bigint => payload.getBigUint64(at, true);
  const areas = [word(8), word(24), word(16)] as const;
  return { index: payload.getUint32(0, true), flags: payload.getUint32(4, true), areas, log: word(32) };
}

/** The payload of ADD_MEM_REG and REM_MEM_REG. */
export function decodeRegion(payload: DataView): ReceivedRegion {
  return regionAt(payload, REGIONS_AT);
}

/**
 * The regions of SET_MEM_TABLE; `undefined` where the payload has no room for their number. It may have room for more:
 * User Mode Linux always sends two.
 */
export function decodeMemoryTable(payload: DataView): readonly ReceivedRegion[] | undefined {
  const room = (payload.byteLength - REGIONS_AT) / REGION_BYTES;
  if (room < 0 || !Number.isInteger(room)) return undefined;
  const count = payload.getUint32(0, true);
  if (count > room) return undefined;
  return Array.from({ length: count }, (_, i) => regionAt(payload, REGIONS_AT + REGION_BYTES * i));
}

function regionAt(payload: DataView, at: number): ReceivedRegion {
  const word = (field: number): bigint => payload.getBigUint64(at + 8 * field, true);
  return { guestAddress: word(0), size: word(1), userAddress: word(2), offset: word(3) };
}
