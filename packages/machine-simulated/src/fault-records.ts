import type { DeviceFault } from '@virtio-platform/core/address-space';
import { MAILBOX_BYTES } from './mailbox.ts';
import type { ThrownRecord } from './thrown-record.ts';

/** What the device's thread reports when it ends by itself. */
export interface ExitReport {
  readonly faults: readonly DeviceFault[];
  /** The error that ended the thread; absent where a fault ended it, as `onFault` says. */
  readonly error?: string | undefined;
  /** The first thing that was thrown inside the device. */
  readonly thrown?: ThrownRecord | undefined;
}

type PlainFault = Omit<DeviceFault, 'address'> & { readonly address: string };

/** The first faults as JSON: as many as a mailbox holds, beside an error. */
export function exitReportToJson({ faults, error, thrown }: ExitReport): string {
  const plain: PlainFault[] = [];
  let bytes = 2048 + (thrown === undefined ? 0 : Buffer.byteLength(JSON.stringify(thrown)));
  for (const fault of faults) {
    const entry: PlainFault = { ...fault, address: fault.address.toString() };
    bytes += Buffer.byteLength(JSON.stringify(entry)) + 1;
    if (bytes > MAILBOX_BYTES) break;
    plain.push(entry);
  }
  return JSON.stringify({ faults: plain, error, thrown });
}

/** Reads what {@link exitReportToJson} wrote. */
export function exitReportFromJson(json: string): ExitReport {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by our own thread
  const { faults, ...words } = JSON.parse(json) as Omit<ExitReport, 'faults'> & { faults: PlainFault[] };
  return { faults: faults.map((fault) => ({ ...fault, address: BigInt(fault.address) })), ...words };
}
