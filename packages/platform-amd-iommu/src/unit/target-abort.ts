import type { AmdIommuFacility } from './amd-facility.ts';

/** Command in the low, status in the high 16 bits of configuration space. */
const COMMAND_AND_STATUS = 4;
const COMMAND_MASK = 0xffff;
/** Signaled target abort, bit 11 of the status, which is cleared by writing 1 (PCI local bus specification, 6.2.3). */
const SIGNALED_ABORT = 0x0800_0000;

/**
 * Whether the unit refused an access since the last call, by the status of its PCI function: QEMU's unit, which never
 * writes its event log, sets it where a walk ends at an entry that is not present. Clears it.
 */
export function takeTargetAbort(facility: AmdIommuFacility): boolean {
  const value = facility.readConfig(COMMAND_AND_STATUS);
  if ((value & SIGNALED_ABORT) === 0) return false;
  facility.writeConfig(COMMAND_AND_STATUS, (value & COMMAND_MASK) + SIGNALED_ABORT);
  return true;
}
