/**
 * Bytes of the payload of GET_INFLIGHT_FD and SET_INFLIGHT_FD: u64 size, u64 offset, u16 queues, u16 entries; and four
 * that QEMU pads them with, as a C compiler does, which the specification does not name.
 */
export const IN_FLIGHT_MESSAGE_BYTES: readonly [least: number, most: number] = [20, 24];
/** Bytes of the payload of SET_LOG_BASE with LOG_SHMFD: u64 size, u64 offset. */
export const LOG_MESSAGE_BYTES = 16;

/** A part of a file that both ends map. */
export interface SharedArea {
  /** Bytes. */
  readonly size: bigint;
  /** Where it starts in the file that is passed along. */
  readonly offset: bigint;
}

/** The record of what is in flight, as a message describes it ("Inflight description"). */
export interface InFlightDescription extends SharedArea {
  readonly queueCount: number;
  /** Entries of each queue. */
  readonly queueSize: number;
}

/** The payload of GET_INFLIGHT_FD, of its answer, and of SET_INFLIGHT_FD. */
export function encodeInFlight({ size, offset, queueCount, queueSize }: InFlightDescription): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(IN_FLIGHT_MESSAGE_BYTES[1]));
  bytes.setBigUint64(0, size, true);
  bytes.setBigUint64(8, offset, true);
  bytes.setUint16(16, queueCount, true);
  bytes.setUint16(18, queueSize, true);
  return new Uint8Array(bytes.buffer);
}

/** The payload of GET_INFLIGHT_FD, of its answer, and of SET_INFLIGHT_FD: nothing of it is checked. */
export function decodeInFlight(payload: DataView): InFlightDescription {
  const { size, offset } = decodeSharedArea(payload);
  return { size, offset, queueCount: payload.getUint16(16, true), queueSize: payload.getUint16(18, true) };
}

/** The payload of SET_LOG_BASE with LOG_SHMFD ("Log description"). */
export function encodeSharedArea({ size, offset }: SharedArea): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(LOG_MESSAGE_BYTES));
  bytes.setBigUint64(0, size, true);
  bytes.setBigUint64(8, offset, true);
  return new Uint8Array(bytes.buffer);
}

/** The payload of SET_LOG_BASE with LOG_SHMFD: nothing of it is checked. */
export function decodeSharedArea(payload: DataView): SharedArea {
  return { size: payload.getBigUint64(0, true), offset: payload.getBigUint64(8, true) };
}
