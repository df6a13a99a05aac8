import type { DeviceAccess, DeviceFault } from '@virtio-platform/core/address-space';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { faultCause, faultDetail } from './fault-reasons.ts';
import { FAULT_ENTRY_SHIFT, INTERRUPT_REASONS } from './interrupt-format.ts';
import {
  FAULT_INDEX_SHIFT,
  FAULT_OVERFLOW,
  FAULT_PENDING,
  FAULT_RECORDED,
  FAULT_WAS_READ,
  FRCD_LAST_WORD,
  FRCD_SIZE,
  FSTS_REG,
} from './vtd-registers.ts';
import type { VtdCapabilities } from './vtd-capabilities.ts';
import type { VtdFacility } from './vtd-facility.ts';

/**
 * A fault that the unit recorded. The unit keeps only the page of an address, so the fault covers a page. Of an
 * interrupt it keeps the entry instead, so that its address is not known.
 */
export interface VtdFault extends DeviceFault {
  /** The reason code of the record, also an unknown one. */
  readonly reason: number;
  /** The meaning of the code. */
  readonly detail: string;
}

/** A fault record as read from the registers. */
export interface FaultRecord {
  readonly sourceId: number;
  readonly low: number;
  readonly high: number;
  readonly access: DeviceAccess;
  readonly reason: number;
}

/** Interprets a record; `isMapped` looks an address up in the tables in memory. */
export function describeFault(record: FaultRecord, isMapped: (low: number, high: number) => boolean): VtdFault {
  const { low, high, access, reason } = record;
  const cause = faultCause(reason, isMapped(low, high));
  if (cause === 'interrupt-blocked')
    return { address: 0n, length: 0, access, cause, reason, detail: ofInterrupt(record) };
  return {
    address: (BigInt(high) << 32n) | BigInt(low),
    length: PAGE_SIZE,
    access,
    cause,
    reason,
    detail: faultDetail(reason),
  };
}

/** A request in compatibility format, or with reserved bits, names no entry. */
function ofInterrupt({ high, reason }: FaultRecord): string {
  const { requestReserved, compatibilityFormat } = INTERRUPT_REASONS;
  const names = reason !== requestReserved && reason !== compatibilityFormat;
  return names ? `${faultDetail(reason)} (entry ${high >>> FAULT_ENTRY_SHIFT})` : faultDetail(reason);
}

/** The reason bits of the last word. */
const REASON_MASK = 0xff;
const PAGE_MASK = 0xffff_f000;

/**
 * Reads and clears every fault record of a unit, the oldest first, and then clears the overflow bit: a unit without a
 * free record drops faults, and may merge faults of one device. The records are those of all devices behind the unit.
 */
export function takeFaults(facility: VtdFacility, capabilities: VtdCapabilities): FaultRecord[] {
  const { faultRecords, faultRecordCount } = capabilities;
  const status = facility.read32(FSTS_REG);
  if ((status & (FAULT_PENDING | FAULT_OVERFLOW)) === 0) return [];
  const taken: FaultRecord[] = [];
  const words = new Uint32Array(2);
  const first = (status >>> FAULT_INDEX_SHIFT) & 0xff;
  for (let i = 0; i < faultRecordCount; i++) {
    const at = faultRecords + ((first + i) % faultRecordCount) * FRCD_SIZE;
    const last = facility.read32(at + FRCD_LAST_WORD);
    if ((last & FAULT_RECORDED) === 0) continue;
    facility.read64(at, words);
    const [low, high] = [(words[0]! & PAGE_MASK) >>> 0, words[1]!];
    facility.read64(at + FRCD_LAST_WORD - 4, words);
    taken.push({
      sourceId: words[0]! & 0xffff,
      low,
      high,
      access: (last & FAULT_WAS_READ) === 0 ? 'write' : 'read',
      reason: last & REASON_MASK,
    });
    facility.write32(at + FRCD_LAST_WORD, FAULT_RECORDED);
  }
  facility.write32(FSTS_REG, FAULT_OVERFLOW);
  return taken;
}
