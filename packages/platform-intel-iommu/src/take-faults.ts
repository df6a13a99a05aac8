import type { VtdCapabilities } from './vtd-capabilities.ts';
import type { VtdFacility } from './vtd-facility.ts';
import type { FaultRecord } from './vtd-fault.ts';
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

/** Bits of the last word that say why. */
const REASON_MASK = 0xff;
const PAGE_MASK = 0xffff_f000;

/**
 * Reads every fault record of a unit, the oldest first, and clears each, and then the note that some were lost: a unit that has no free
 * record drops what comes, or does not tell faults of one device apart. The records of all devices behind it are there.
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
