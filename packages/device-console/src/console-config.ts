import type { ConfigTable, NegotiatedDevice } from '@virtio-platform/core';
import { ConfigFields } from '@virtio-platform/device-kit';
import { VIRTIO_CONSOLE_F_EMERG_WRITE, VIRTIO_CONSOLE_F_MULTIPORT, VIRTIO_CONSOLE_F_SIZE } from './console-features.ts';
import { CONSOLE_MAX_PORTS } from './layout.ts';

/** The names of the fields of the configuration space. */
export type ConsoleField = 'cols' | 'rows' | 'max_nr_ports' | 'emerg_wr';

/** The fields of the configuration space. Specification 1.4 section 5.3.4. */
export const CONSOLE_CONFIG: ConfigTable<ConsoleField> = {
  cols: { offset: 0, width: 2, feature: VIRTIO_CONSOLE_F_SIZE },
  rows: { offset: 2, width: 2, feature: VIRTIO_CONSOLE_F_SIZE },
  max_nr_ports: { offset: 4, width: 4, feature: VIRTIO_CONSOLE_F_MULTIPORT },
  emerg_wr: { offset: 8, width: 4, feature: VIRTIO_CONSOLE_F_EMERG_WRITE, isWritable: true },
};

/** The size of a console in characters. */
export interface ConsoleSize {
  /** 0 to 65535. */
  readonly columns: number;
  readonly rows: number;
}

/** What a console driver has to know of its device; fields without their feature have defaults. */
export interface ConsoleConfig {
  /** Of port 0; `undefined` where the device does not say. */
  readonly size: ConsoleSize | undefined;
  /**
   * Most ports that the device may announce: no more than it has queues for, whatever it says. Without MULTIPORT the
   * one port that there is.
   */
  readonly ports: number;
}

/** Reads the configuration of a console and checks it. Specification 1.4 section 5.3.4. */
export function readConsoleConfig(device: NegotiatedDevice): ConsoleConfig {
  const fields = new ConfigFields(device);
  const told = fields.number(CONSOLE_CONFIG.max_nr_ports, 1);
  return {
    size: readConsoleSize(device),
    ports: Math.max(1, Math.min(told, CONSOLE_MAX_PORTS, (device.transport.queueCount >> 1) - 1)),
  };
}

/** Reads the size of port 0; `undefined` where SIZE was not accepted. */
export function readConsoleSize(device: NegotiatedDevice): ConsoleSize | undefined {
  const fields = new ConfigFields(device);
  if (!fields.has(CONSOLE_CONFIG.cols)) return undefined;
  return { columns: fields.number(CONSOLE_CONFIG.cols, 0), rows: fields.number(CONSOLE_CONFIG.rows, 0) };
}
