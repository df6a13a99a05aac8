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

/** A message about I/O virtual addresses that was received: nothing of it is checked. */
export interface ReceivedIotlbMessage {
  readonly type: number;
  /** First address, as low and high word. */
  readonly low: number;
  readonly high: number;
  /** Bytes, exact up to 2^53. */
  readonly size: number;
  readonly userAddress: bigint;
  readonly permission: number;
}

/** The payload of IOTLB_MSG: struct vhost_iotlb_msg. */
export function decodeIotlbMessage(payload: DataView): ReceivedIotlbMessage {
  return {
    type: payload.getUint8(25),
    low: payload.getUint32(0, true),
    high: payload.getUint32(4, true),
    size: Number(payload.getBigUint64(8, true)),
    userAddress: payload.getBigUint64(16, true),
    permission: payload.getUint8(24),
  };
}
