import type { ConformBench } from '@virtio-platform/core';
import type { AccessWidth, PciBar } from '@virtio-platform/core/device';
import { PCI_DEVICE_ID } from '@virtio-platform/pci';
import type { PciBench } from './pci-bench.ts';

/** A register of the legacy interface (specification 1.4 section 4.1.4.10). */
export interface LegacyRegister {
  readonly name: string;
  readonly offset: number;
  readonly width: AccessWidth;
}

function register(name: string, offset: number, width: AccessWidth): LegacyRegister {
  return { name, offset, width };
}

/** The registers, as {@link LEGACY} names them. */
export type LegacyName =
  | 'deviceFeatures'
  | 'driverFeatures'
  | 'queueAddress'
  | 'queueSize'
  | 'queueSelect'
  | 'queueNotify'
  | 'status'
  | 'isr'
  | 'configVector'
  | 'queueVector';

/** The registers of the legacy interface by name. The last two are there while MSI-X is enabled. */
export const LEGACY: Readonly<Record<LegacyName, LegacyRegister>> = {
  deviceFeatures: register('device-features', 0, 4),
  driverFeatures: register('driver-features', 4, 4),
  queueAddress: register('queue-address', 8, 4),
  queueSize: register('queue-size', 12, 2),
  queueSelect: register('queue-select', 14, 2),
  queueNotify: register('queue-notify', 16, 2),
  status: register('device-status', 18, 1),
  isr: register('isr-status', 19, 1),
  configVector: register('config-vector', 20, 2),
  queueVector: register('queue-vector', 22, 2),
};

/** Where the device configuration begins, without and with MSI-X. */
export const LEGACY_CONFIG = { withoutMsix: 20, withMsix: 24 } as const;

/** The legacy registers of a transitional function. Skips the case where the function has none. */
export class LegacyRegisters {
  readonly bar: PciBar;

  constructor(bench: ConformBench, { pci }: PciBench) {
    if (pci.readConfig(PCI_DEVICE_ID, 2) >= 0x1040) bench.skip('the device has no legacy interface');
    const bar = pci.openBar(0);
    this.bar = bar?.kind === 'io' ? bar : bench.fail('BAR 0 of a transitional device is not in I/O space');
  }

  read({ offset, width }: LegacyRegister): number {
    return this.bar.read(offset, width) >>> 0;
  }

  write({ offset, width }: LegacyRegister, value: number): void {
    this.bar.write(offset, width, value);
  }

  readOf(queue: number, of: LegacyRegister): number {
    this.write(LEGACY.queueSelect, queue);
    return this.read(of);
  }

  /** Reads bytes of the device configuration, which begins at `start`. */
  config(start: number, bytes: number, width: AccessWidth): string {
    const parts: string[] = [];
    for (let at = 0; at < bytes; at += width) {
      const value = this.bar.read(start + at, width) >>> 0;
      for (let byte = 0; byte < width; byte++)
        parts.push(((value >>> (8 * byte)) & 0xff).toString(16).padStart(2, '0'));
    }
    return parts.join('');
  }
}
