import type { DeviceModel, DeviceTypePlugin } from '@virtio-platform/core';
import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import type { DeviceInterface } from '@virtio-platform/core/device';
import { DirectDmaMapping, type DmaMapping } from '@virtio-platform/core/dma';
import { NO_DEVICE_FEATURES, type FeatureSet } from '@virtio-platform/core/features';
import { GuestMemory } from '@virtio-platform/core/memory';
import { SimulatedDevice } from '@virtio-platform/machine-simulated';

interface OpenedDevice {
  readonly memory: GuestMemory;
  readonly mapping: DmaMapping;
  readonly device: SimulatedDevice;
}

/** A type without features and configuration of its own. */
const NO_TYPE = { features: NO_DEVICE_FEATURES, config: {} };

/**
 * A device, modern unless asked for otherwise, without a machine: 64 KiB of guest memory that it reaches by physical
 * addresses.
 */
export function openSimulatedDevice(
  model: DeviceModel,
  offers: FeatureSet,
  type: Pick<DeviceTypePlugin, 'features' | 'config'> = NO_TYPE,
  deviceInterface: DeviceInterface = 'modern',
): OpenedDevice {
  const memory = new GuestMemory(new SharedArrayBuffer(0x1_0000));
  const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
  const device = new SimulatedDevice(model, space, {
    type,
    interface: deviceInterface,
    offers,
    byteOrder: 'little',
    onFault: 'needs-reset',
    rogue: [],
    demands: 0n,
    driverPrivilege: 'kernel',
    experimental: undefined,
    isOneToOne: () => true,
  });
  return { memory, device, mapping: new DirectDmaMapping(memory, { path: 'physical', capacity: 64 }) };
}
