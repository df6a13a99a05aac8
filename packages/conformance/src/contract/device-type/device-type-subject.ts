import assert from 'node:assert/strict';
import type { DeviceTypePlugin, DriverHalf, OptionsSchema, WorkloadType } from '@virtio-platform/core';

/** A device type under test, with what a profile would say of it. */
export interface DeviceTypeSubject {
  readonly plugin: DeviceTypePlugin;
  /** The settings as the device section of a profile has them, before the schema. */
  readonly options: unknown;
  /** The options of each workload by its name, before its schema. What is not here has none. */
  readonly workloads: Readonly<Record<string, unknown>>;
  /** URL of the module that exports the plugin by default; without it nothing runs in another thread. */
  readonly module: string | undefined;
  /** Requests of each run. */
  readonly requests: number;
}

/** A workload of a subject, with checked options. */
export interface SubjectWorkload {
  readonly name: string;
  readonly type: WorkloadType<unknown, DriverHalf, unknown>;
  readonly options: unknown;
}

/** The value that a schema makes. Throws an AssertionError with `what` where it refuses. */
export async function accepted(schema: OptionsSchema<unknown>, value: unknown, what: string): Promise<unknown> {
  const result = await schema['~standard'].validate(value);
  if (result.issues === undefined) return result.value;
  const issues = result.issues.map(({ path = [], message }) => `${path.map(String).join('.')}: ${message}`);
  return assert.fail(`${what} are refused: ${issues.join('; ')}`);
}

/** The settings of a subject, checked. */
export async function checkedSettings({ plugin, options }: DeviceTypeSubject): Promise<unknown> {
  return accepted(plugin.options, options, 'the given settings');
}

/** The workloads of a subject, with their options checked. */
export async function checkedWorkloads({ plugin, workloads }: DeviceTypeSubject): Promise<readonly SubjectWorkload[]> {
  const checked: SubjectWorkload[] = [];
  for (const [name, type] of Object.entries(plugin.workloads)) {
    const given = workloads[name] ?? {};
    const what = `the options of the workload ${name}, ${JSON.stringify(given)} (given with \`workloads\`),`;
    checked.push({ name, type, options: await accepted(type.options, given, what) });
  }
  return checked;
}
