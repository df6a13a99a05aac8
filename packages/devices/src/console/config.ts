import { readDeviceConfig, type Transport } from '@virtio-platform/core/device';
import { VIRTIO_CONSOLE_F_MULTIPORT, VIRTIO_CONSOLE_F_SIZE, type FeatureSet } from '@virtio-platform/core/features';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { CONSOLE_CONFIG, CONSOLE_MAX_PORTS } from './layout.ts';

/** What a console driver has to know of its device; fields without their feature have defaults. */
export interface ConsoleConfig {
  /** Characters; 0 where the device does not say. */
  readonly columns: number;
  readonly rows: number;
  /** Ports that the driver uses: no more than the device has queues for, whatever it says. */
  readonly ports: number;
}

/** Reads the configuration of a console and believes none of it unchecked. Specification 1.4 section 5.3.4. */
export function readConsoleConfig(transport: Transport, accepted: FeatureSet, byteOrder: ByteOrder): ConsoleConfig {
  const littleEndian = byteOrder === 'little';
  const hasSize = accepted.has(VIRTIO_CONSOLE_F_SIZE);
  const hasPorts = accepted.has(VIRTIO_CONSOLE_F_MULTIPORT);
  const length = hasPorts ? CONSOLE_CONFIG.maxPorts + 4 : hasSize ? CONSOLE_CONFIG.maxPorts : 0;
  const config = readDeviceConfig(transport, 0, length);
  const told = hasPorts ? config.getUint32(CONSOLE_CONFIG.maxPorts, littleEndian) : 1;
  return {
    columns: hasSize ? config.getUint16(CONSOLE_CONFIG.columns, littleEndian) : 0,
    rows: hasSize ? config.getUint16(CONSOLE_CONFIG.rows, littleEndian) : 0,
    ports: Math.max(1, Math.min(told, CONSOLE_MAX_PORTS, (transport.queueCount >> 1) - 1)),
  };
}
