import { ContractError, describeValue } from '@virtio-platform/core';
import { FaultLog, type DeviceFault } from '@virtio-platform/core/address-space';

/** The faults of a machine. Throws {@link ContractError} where the plugin of the machine has others. */
export function checkFaults(faults: readonly DeviceFault[]): readonly DeviceFault[] {
  for (const fault of faults.slice(0, FaultLog.LIMIT) as readonly unknown[]) {
    const isFault = typeof fault === 'object' && fault !== null && 'address' in fault;
    if (!isFault || typeof fault.address !== 'bigint')
      throw new ContractError('machine', 'faults', `has ${describeValue(fault)}, which is no fault`);
  }
  return faults;
}
