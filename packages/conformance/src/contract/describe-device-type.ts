import type { DeviceTypePlugin, DriverHalf } from '@virtio-platform/core';
import { describeContract, runCheck, type ContractCheck } from '../contract-check.ts';
import type { DeviceTypeSubject } from './device-type/device-type-subject.ts';
import { DEVICE_MODEL_CHECKS } from './device-type/model-checks.ts';
import { DEVICE_ROGUE_CHECKS } from './device-type/rogue-checks.ts';
import { DEVICE_TYPE_STATIC_CHECKS } from './device-type/static-checks.ts';
import { DEVICE_WORKLOAD_CHECKS } from './device-type/workload-checks.ts';
import { pluginChecks } from './plugin/plugin-checks.ts';

export type { DeviceTypeSubject } from './device-type/device-type-subject.ts';

/** The duties of a device type, one by one: of its static side, its device half, its driver half and its workloads. */
export const DEVICE_TYPE_CHECKS: readonly ContractCheck<DeviceTypeSubject>[] = [
  ...pluginChecks('device').filter(({ name }) => !name.startsWith('renames')),
  ...DEVICE_TYPE_STATIC_CHECKS,
  ...DEVICE_MODEL_CHECKS,
  ...DEVICE_WORKLOAD_CHECKS,
  ...DEVICE_ROGUE_CHECKS,
];

/** What a contract test says of a device type, beside the plugin. */
export interface DescribeDeviceTypeOptions {
  /** The settings as the device section of a profile has them; none unless given. */
  readonly options?: unknown;
  /**
   * The options of each workload by its name, as the workload section of a profile has them: `{ echo: {
   * blockSize: 512 } }`. None unless given.
   */
  readonly workloads?: Readonly<Record<string, unknown>>;
  /** The module that exports the plugin by default; without it, nothing is tried in another thread. */
  readonly module?: URL | string;
  /** Requests of each run of a workload: 48 unless given. */
  readonly requests?: number;
}

/** A device type under test, with the defaults filled in. */
export function deviceTypeSubject<Settings, Driver extends DriverHalf>(
  plugin: DeviceTypePlugin<Settings, Driver>,
  { options = {}, workloads = {}, module, requests = 48 }: DescribeDeviceTypeOptions = {},
): DeviceTypeSubject {
  return { plugin, options, workloads, module: module === undefined ? undefined : String(module), requests };
}

/**
 * Tries a device type against the whole contract: the plugin, the device half by itself and in a thread, the driver
 * half with each workload over the device half, on rings and mappings of every kind, and on a device that breaks the
 * rules. Needs no machine and no platform. A check that does not apply is skipped with the reason.
 */
export function describeDeviceType<Settings, Driver extends DriverHalf>(
  plugin: DeviceTypePlugin<Settings, Driver>,
  options: DescribeDeviceTypeOptions = {},
): void {
  const subject = deviceTypeSubject(plugin, options);
  const name = `${plugin.name} with ${JSON.stringify(subject.options)} as a device type`;
  describeContract(name, DEVICE_TYPE_CHECKS, (check) => runCheck(check, subject));
}
