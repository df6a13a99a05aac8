/**
 * Front-end requests by their names in the specification (QEMU docs/interop/vhost-user.rst, "Front-end message types").
 */
export const VHOST_USER_REQUESTS = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  SET_MEM_TABLE: 5,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  GET_QUEUE_NUM: 17,
  SET_VRING_ENABLE: 18,
  SET_BACKEND_REQ_FD: 21,
  IOTLB_MSG: 22,
  GET_CONFIG: 24,
  SET_CONFIG: 25,
  GET_MAX_MEM_SLOTS: 36,
  ADD_MEM_REG: 37,
  REM_MEM_REG: 38,
} as const;
/** A name in {@link VHOST_USER_REQUESTS}. */
export type RequestName = keyof typeof VHOST_USER_REQUESTS;

/** Requests of the back-end, on the back channel ("Back-end message types"). */
export const BACK_END_REQUESTS = { IOTLB_MSG: 1, CONFIG_CHANGE_MSG: 2 } as const;

/**
 * u32 request, u32 flags, u32 size of the payload; in the byte order of the host, which this package has little-endian.
 */
export const HEADER_BYTES = 12;
/** The protocol version, in the low bits of the flags. */
export const VERSION = 1;
/** The bits of the flags that hold the version. */
export const VERSION_MASK = 3;
/** Bit of the flags: the message is a reply. */
export const FLAG_REPLY = 4;
/** Bit of the flags: the sender wants an acknowledgement (REPLY_ACK). */
export const FLAG_NEED_REPLY = 8;

/** Protocol feature MQ, as a mask. */
export const PROTOCOL_MQ: bigint = 1n << 0n;
/** Protocol feature REPLY_ACK, as a mask. */
export const PROTOCOL_REPLY_ACK: bigint = 1n << 3n;
/** Protocol feature BACKEND_REQ, as a mask. */
export const PROTOCOL_BACKEND_REQ: bigint = 1n << 5n;
/** Protocol feature CONFIG, as a mask. */
export const PROTOCOL_CONFIG: bigint = 1n << 9n;
/** Protocol feature CONFIGURE_MEM_SLOTS, as a mask. */
export const PROTOCOL_CONFIGURE_MEM_SLOTS: bigint = 1n << 15n;

/** Feature bit of vhost among the device's: dirty page logging. A driver never sees it. */
export const VHOST_F_LOG_ALL = 26;
/** Feature bit of vhost-user among the device's: protocol features. A driver never sees it. */
export const VHOST_USER_F_PROTOCOL_FEATURES = 30;

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

/** struct vhost_vring_addr, without a log. Its order is descriptor, used, available. */
export function encodeVringAddress(index: number, descriptor: bigint, driver: bigint, device: bigint): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(40));
  bytes.setUint32(0, index, true);
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

/**
 * Bytes of struct vhost_iotlb_msg: u64 iova, size, uaddr; u8 perm, type; padded (QEMU docs/interop/vhost-user.rst, "An
 * IOTLB message").
 */
export const IOTLB_MESSAGE_BYTES = 32;

/** Kinds of message. The back-end sends the first and the last, the front-end the others. */
export const IotlbMessageType = { Miss: 1, Update: 2, Invalidate: 3, AccessFail: 4 } as const;
/** A value of {@link IotlbMessageType}. */
export type IotlbMessageType = (typeof IotlbMessageType)[keyof typeof IotlbMessageType];

/** Bit of `perm`: the device may read. */
export const IOTLB_READ = 1;
/** Bit of `perm`: the device may write. */
export const IOTLB_WRITE = 2;
/** Both bits of `perm`. */
export const IOTLB_READ_WRITE = 3;

/** What a front-end says of a run of I/O virtual addresses. */
export interface IotlbMessage {
  readonly type: IotlbMessageType;
  /** First address, as low and high word. */
  readonly low: number;
  readonly high: number;
  readonly size: number;
  /** Where it is in the front-end's memory, as the memory table names it. */
  readonly userAddress?: bigint;
  readonly permission?: number;
}

/** The payload of IOTLB_MSG: struct vhost_iotlb_msg. */
export function encodeIotlbMessage({ type, low, high, size, userAddress, permission }: IotlbMessage): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(IOTLB_MESSAGE_BYTES));
  bytes.setUint32(0, low, true);
  bytes.setUint32(4, high, true);
  bytes.setBigUint64(8, BigInt(size), true);
  bytes.setBigUint64(16, userAddress ?? 0n, true);
  bytes.setUint8(24, permission ?? 0);
  bytes.setUint8(25, type);
  return new Uint8Array(bytes.buffer);
}
