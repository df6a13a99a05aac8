import type { DeviceFault, FaultCause } from '@virtio-platform/core/address-space';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  EVENT_NAMES,
  FAULT_PERMISSION,
  FAULT_PRESENT,
  FAULT_RESERVED,
  FAULT_WRITE,
  INVALID_REQUEST,
  IO_PAGE_FAULT,
} from './event-format.ts';
import type { AmdEvent } from './event-log.ts';
import { addressBits } from './table-format.ts';

/** A refused access, by an event of the unit or by what else is known of it. */
export interface AmdFault extends DeviceFault {
  /** The code of the event, also an unknown one; 0 where there was no event. */
  readonly code: number;
  /** What the event means, or how the refusal became known. */
  readonly detail: string;
}

/** The most faults of which a machine tells at once. */
const MOST_DENIED = 256;

/** Interprets an event. It has an address and no length, so the fault covers one byte. */
export function describeEvent({ code, flags, low, high }: AmdEvent, levels: number): AmdFault {
  const access = (flags & FAULT_WRITE) === 0 ? 'read' : 'write';
  const address = (BigInt(high) << 32n) | BigInt(low);
  const isDeviceAddress = code === IO_PAGE_FAULT || code === INVALID_REQUEST;
  const cause = causeOf(code, flags, high, levels);
  return { address: isDeviceAddress ? address : 0n, length: 1, access, cause, code, detail: detailOf(code, flags) };
}

/**
 * Why an access was refused, by code and flags of its event and the high word of its address, where tables have so many
 * levels.
 */
export function causeOf(code: number, flags: number, high: number, levels: number): FaultCause {
  if (code === INVALID_REQUEST) return 'outside-window';
  if (code !== IO_PAGE_FAULT) return 'iommu-error';
  const isBeyond = high >= 2 ** Math.max(0, addressBits(levels) - 32);
  if ((flags & FAULT_PRESENT) === 0) return isBeyond ? 'outside-window' : 'unmapped';
  if ((flags & FAULT_PERMISSION) === 0) return 'iommu-error';
  return (flags & FAULT_WRITE) === 0 ? 'read-not-permitted' : 'write-not-permitted';
}

function detailOf(code: number, flags: number): string {
  const name = EVENT_NAMES[code];
  if (name === undefined) return `an event with the unknown code 0x${code.toString(16)}`;
  if (code !== IO_PAGE_FAULT) return name;
  if ((flags & FAULT_PRESENT) === 0) return `${name}: an entry on the way is not present`;
  if ((flags & FAULT_PERMISSION) !== 0) return `${name}: an entry on the way does not permit it`;
  if ((flags & FAULT_RESERVED) !== 0) return `${name}: reserved bits are set in an entry`;
  return `${name}: an entry has no valid level`;
}

/**
 * Faults by the addresses at which the machine noticed that an access was refused. Accesses to one page that follow
 * each other are one fault, from the first to the last of them.
 */
export function describeDenied(addresses: readonly bigint[]): AmdFault[] {
  const faults: AmdFault[] = [];
  const page = BigInt(PAGE_SIZE);
  for (const address of addresses) {
    const last = faults.at(-1);
    if (last !== undefined && address / page === last.address / page && address >= last.address) {
      const length = Math.max(last.length, Number(address - last.address) + 1);
      faults[faults.length - 1] = { ...last, length };
      continue;
    }
    if (faults.length === MOST_DENIED) break;
    const detail = 'not in the event log: the machine noticed the refused access, without its direction';
    faults.push({ address, length: 1, access: 'read or write', cause: 'unmapped', code: 0, detail });
  }
  return faults;
}

/** The fault of which no more is known than that there was one. */
export const UNRECORDED: AmdFault = {
  address: 0n,
  length: 0,
  access: 'read or write',
  cause: 'unmapped',
  code: 0,
  detail:
    'not in the event log: the PCI status of the unit shows that it refused at least one access, ' +
    'and says neither at which address nor of which device',
};
