import type { DeviceFault } from '@virtio-platform/core/address-space';
import { MAILBOX_BYTES } from './mailbox.ts';

/** What the device's thread reports when it ends by itself. */
export interface ExitReport {
  readonly faults: readonly DeviceFault[];
  /** The error that ended the thread; absent where a fault ended it, as `onFault` says. */
  readonly error?: string | undefined;
}

type PlainFault = Omit<DeviceFault, 'address'> & { readonly address: string };

/** The first faults as JSON: as many as a mailbox holds, beside an error. */
export function exitReportToJson({ faults, error }: ExitReport): string {
  const plain: PlainFault[] = [];
  let bytes = 2048;
  for (const fault of faults) {
    const entry: PlainFault = { ...fault, address: fault.address.toString() };
    bytes += Buffer.byteLength(JSON.stringify(entry)) + 1;
    if (bytes > MAILBOX_BYTES) break;
    plain.push(entry);
  }
  return JSON.stringify({ faults: plain, error });
}

/** Reads what {@link exitReportToJson} wrote. */
export function exitReportFromJson(json: string): ExitReport {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by our own thread
  const { faults, error } = JSON.parse(json) as { faults: PlainFault[]; error?: string };
  return { faults: faults.map((fault) => ({ ...fault, address: BigInt(fault.address) })), error };
}
