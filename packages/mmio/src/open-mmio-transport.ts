import type { DeviceInterface } from '@virtio-platform/core/device';
import { MmioLegacyTransport } from './mmio-legacy-transport.ts';
import { MmioModernTransport } from './mmio-modern-transport.ts';
import type { MmioRegisters } from './mmio-registers.ts';
import type { MmioTransport, MmioTransportOptions } from './mmio-transport.ts';

/**
 * Opens the transport of the interface that a driver uses. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where the
 * device has the other one, or there is none.
 */
export function openMmioTransport(
  registers: MmioRegisters,
  driverInterface: DeviceInterface,
  options: MmioTransportOptions = {},
): MmioTransport {
  return driverInterface === 'legacy'
    ? new MmioLegacyTransport(registers, options)
    : new MmioModernTransport(registers, options);
}
