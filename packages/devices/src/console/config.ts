import type { Transport } from '@virtio-platform/core/device';
import { VIRTIO_CONSOLE_F_MULTIPORT, VIRTIO_CONSOLE_F_SIZE, type FeatureSet } from '@virtio-platform/core/features';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { ConfigFields } from '../config-fields.ts';
import { CONSOLE_CONFIG, CONSOLE_MAX_PORTS } from './layout.ts';

/** What a console driver has to know of its device; fields without their feature have defaults. */
export interface ConsoleConfig {
  /** Characters; 0 where the device does not say. */
  readonly columns: number;
  readonly rows: number;
  /**
   * Most ports that the device may announce: no more than it has queues for, whatever it says. Without MULTIPORT the
   * one port that there is.
   */
  readonly ports: number;
}

/** Reads the configuration of a console and believes none of it unchecked. Specification 1.4 section 5.3.4. */
export function readConsoleConfig(transport: Transport, accepted: FeatureSet, byteOrder: ByteOrder): ConsoleConfig {
  const fields = new ConfigFields(transport, accepted, byteOrder);
  const told = fields.u32(CONSOLE_CONFIG.maxPorts, VIRTIO_CONSOLE_F_MULTIPORT, 1);
  return {
    columns: fields.u16(CONSOLE_CONFIG.columns, VIRTIO_CONSOLE_F_SIZE, 0),
    rows: fields.u16(CONSOLE_CONFIG.rows, VIRTIO_CONSOLE_F_SIZE, 0),
    ports: Math.max(1, Math.min(told, CONSOLE_MAX_PORTS, (transport.queueCount >> 1) - 1)),
  };
}
