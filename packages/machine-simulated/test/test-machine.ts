import { deviceDescription } from '@virtio-platform/conformance/testing';
import type { DeviceDescription, MachineRequest } from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import block from '@virtio-platform/device-block';
import { SimulatedMachine, type SimulatedOptions } from '@virtio-platform/machine-simulated';

interface TestMachine extends Partial<Omit<MachineRequest, 'device'>> {
  readonly device?: Partial<DeviceDescription>;
  readonly options?: Partial<SimulatedOptions>;
}

/**
 * An embedded machine without an IOMMU, not yet booted: 4 MiB, and a modern block device in this thread unless asked
 * for otherwise.
 */
export function testMachine({ device, options, ...request }: TestMachine = {}): SimulatedMachine {
  return new SimulatedMachine(
    {
      memory: 4 * 1024 * 1024,
      needs: [],
      simulate: () => ({ facilities: new Map(), addressSpace: () => PHYSICAL_ADDRESS_SPACE }),
      baseDirectory: '.',
      ...request,
      device: deviceDescription(block, { capacity: 1024 * 1024, serial: 'x' }, device),
    },
    { device: 'same-thread', onFault: 'needs-reset', rogue: [], transport: 'pci', demands: 0n, ...options },
  );
}
