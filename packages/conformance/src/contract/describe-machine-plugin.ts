import type { DeviceDescription, MachinePlugin } from '@virtio-platform/core';
import { describeContract, runCheck, type ContractCheck } from '../contract-check.ts';
import { TRANSPORT_CHECKS } from './describe-transport.ts';
import { MACHINE_BOOT_CHECKS } from './machine/machine-boot-checks.ts';
import { MACHINE_STATIC_CHECKS } from './machine/machine-static-checks.ts';
import { bootSubject, type MachinePluginSubject } from './machine/machine-subject.ts';
import { pluginChecks } from './plugin/plugin-checks.ts';

export type { MachinePluginSubject } from './machine/machine-subject.ts';

/** The promises of a machine plugin, one by one. */
export const MACHINE_PLUGIN_CHECKS: readonly ContractCheck<MachinePluginSubject>[] = [
  ...pluginChecks('machine'),
  ...MACHINE_STATIC_CHECKS,
  ...MACHINE_BOOT_CHECKS,
];

/** What {@link describeMachinePlugin} boots; every field may be left out. */
export interface MachineSuiteSettings {
  /** The options as a profile would give them. `{}` unless given. */
  readonly options?: unknown;
  /** Bytes of guest memory. 4 MiB unless given. */
  readonly memory?: number;
  /** What differs from a modern block device. */
  readonly device?: Partial<DeviceDescription>;
  /** Bytes of device configuration that the device has: 8 unless given, the capacity of a block device. */
  readonly configBytes?: number;
  /** See `TransportSubject.ignoresUnoffered`. */
  readonly ignoresUnoffered?: boolean;
}

/**
 * Tries a machine plugin, the machine that it boots and its transport against the whole contract. Where something is
 * missing on this computer, what needs it is skipped, and the reason says what to install.
 */
export function describeMachinePlugin<Options>(
  plugin: MachinePlugin<Options>,
  settings: MachineSuiteSettings = {},
): void {
  const { options = {}, memory = 4 * 2 ** 20, device = {}, configBytes = 8, ignoresUnoffered } = settings;
  const subject: MachinePluginSubject = { plugin, options, memory, device, configBytes, ignoresUnoffered };
  const name = `${plugin.name} with ${JSON.stringify(options)} as a machine plugin`;
  describeContract(name, MACHINE_PLUGIN_CHECKS, (check) => runCheck(check, subject));
  describeContract(`the transport of ${name}`, TRANSPORT_CHECKS, async (check) => {
    const booted = await bootSubject(subject);
    try {
      await runCheck(check, { transport: booted.transport, configBytes, ignoresUnoffered });
    } finally {
      await booted.dispose();
    }
  });
}
