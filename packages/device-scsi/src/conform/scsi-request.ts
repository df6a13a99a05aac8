import type { ConfigField, ConformBench, GoodRequest } from '@virtio-platform/core';
import * as wire from '../layout.ts';
import { LUN_SIZE, writeLun } from '../scsi-lun.ts';
import { SCSI_GOOD } from '../scsi-sense.ts';

/** Bytes of a request without its data, and of a response without it. */
export const REQUEST_BYTES: number = wire.SCSI_REQUEST_HEADER_SIZE + wire.SCSI_CDB_SIZE;
/** See {@link REQUEST_BYTES}. */
export const RESPONSE_BYTES: number = wire.SCSI_RESPONSE_HEADER_SIZE + wire.SCSI_SENSE_SIZE;
/** Offsets in a response. */
const STATUS = 10;
const RESPONSE = 11;

/** A command, and what it has to be answered with. */
export interface WantedCommand {
  readonly cdb: Uint8Array;
  readonly target?: number;
  readonly lun?: number;
  readonly tag?: number;
  readonly dataOut?: Uint8Array;
  /** Bytes of data-in that the device may write. */
  readonly room?: number;
  /** Default: OK. */
  readonly response?: number | readonly number[];
  /** The SCSI status, where the response is OK; any where it is `undefined`. */
  readonly status?: number | undefined;
  /** The first bytes of the data-in; not compared without it. */
  readonly expected?: Uint8Array;
  /** Looks at the sense data. */
  readonly sense?: (sense: Uint8Array) => string | undefined;
}

/** The eight bytes of the address of a logical unit. */
export function lunBytes(target: number, lun: number): Uint8Array {
  const bytes = new Uint8Array(LUN_SIZE);
  writeLun(bytes, 0, target, lun);
  return bytes;
}

/** A request of a SCSI host (specification 1.4 section 5.6.6.1) with the answer that is right. */
export function scsiRequest(wanted: WantedCommand): GoodRequest {
  const { cdb, target = 0, lun = 0, tag = 1, dataOut = new Uint8Array(0), room = 0, expected } = wanted;
  const status = 'status' in wanted ? wanted.status : SCSI_GOOD;
  const right = [wanted.response ?? wire.VIRTIO_SCSI_S_OK].flat();
  const readable = new Uint8Array(REQUEST_BYTES + dataOut.length);
  readable.set(lunBytes(target, lun));
  new DataView(readable.buffer).setBigUint64(LUN_SIZE, BigInt(tag), true);
  readable.set(cdb, wire.SCSI_REQUEST_HEADER_SIZE);
  readable.set(dataOut, REQUEST_BYTES);
  return {
    queue: wire.SCSI_REQUEST_QUEUE,
    readable,
    writable: RESPONSE_BYTES + room,
    check: (written) => {
      const response = written[RESPONSE]!;
      if (!right.includes(response)) return `the response is ${response}, and has to be ${right.join(' or ')}`;
      if (response !== wire.VIRTIO_SCSI_S_OK) return undefined;
      if (status !== undefined && written[STATUS] !== status)
        return `the status is ${written[STATUS]}, and has to be ${status}`;
      const senseLength = new DataView(written.buffer, written.byteOffset).getUint32(0, true);
      const sense = written.subarray(wire.SCSI_RESPONSE_HEADER_SIZE, wire.SCSI_RESPONSE_HEADER_SIZE + senseLength);
      const wrong = wanted.sense?.(sense);
      if (wrong !== undefined || expected === undefined) return wrong;
      const at = expected.findIndex((byte, i) => written[RESPONSE_BYTES + i] !== byte);
      return at < 0
        ? undefined
        : `byte ${at} of the data is ${written[RESPONSE_BYTES + at]}, and has to be ${expected[at]}`;
    },
  };
}

/** A request of task management (section 5.6.6.2), and the responses that are right. */
export function taskRequest(subtype: number, right: readonly number[], target = 0, lun = 0, tag = 0): GoodRequest {
  const readable = new Uint8Array(wire.SCSI_TMF_SIZE);
  const view = new DataView(readable.buffer);
  view.setUint32(4, subtype, true);
  readable.set(lunBytes(target, lun), 8);
  view.setBigUint64(16, BigInt(tag), true);
  return {
    queue: wire.SCSI_CONTROL_QUEUE,
    readable,
    writable: 1,
    check: ([response]) =>
      right.includes(response!) ? undefined : `the response is ${response}, and has to be ${right.join(' or ')}`,
  };
}

/** Reads a field of the configuration. */
export function scsiField({ transport }: ConformBench, { offset, width }: ConfigField): number {
  const bytes = new Uint8Array(width);
  transport.readConfig(offset, bytes);
  return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
}
