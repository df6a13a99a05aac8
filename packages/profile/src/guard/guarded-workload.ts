import {
  describeValue,
  type DriverHalf,
  type WorkDone,
  type Workload,
  type WorkloadProblem,
  type WorkloadType,
} from '@virtio-platform/core';
import type { PluginUse } from '../schema/profile.ts';
import { isRecord } from '../source/unknown-value.ts';
import { checkMembers, isCount, isFunction, isText, orAbsent, type MemberCheck } from './member-check.ts';
import { runHookSync } from './run-hook.ts';
import { contractError } from './thrown-by-plugin.ts';

/** The longest buffer that a descriptor can have. */
const MOST_BYTES = 0xffff_ffff;

const PROBLEM: readonly MemberCheck[] = [
  ['key', isText, 'a key of the workload section'],
  ['message', isText, 'a text'],
];

const DONE: readonly MemberCheck[] = [
  ['requests', isCount, 'a whole number from 0 on'],
  ['bytes', isCount, 'a whole number from 0 on'],
  ['repeated', isCount, 'a whole number from 0 on'],
  ['mismatches', isMismatchReport, 'counts of mismatches, and the first of each kind'],
];

function isMismatchReport(value: unknown): boolean {
  if (!isRecord(value) || !isRecord(value['counts']) || !Array.isArray(value['first'])) return false;
  return (
    Object.values(value['counts']).every((count) => count === undefined || isCount(count)) &&
    value['first'].every(isRecord)
  );
}

/** A type of workload of a plugin, behind checks, as {@link GuardedWorkload} is for one at work. */
export function guardWorkloadType(
  use: PluginUse,
  kind: string,
  type: WorkloadType<unknown, DriverHalf, unknown>,
): WorkloadType<unknown, DriverHalf, unknown> {
  const { summary, options, paths, recovers } = type;
  const given = (member: string) => ({ kind: 'device', use, hook: `workloads.${kind}.${member}` }) as const;
  return {
    summary,
    options,
    ...(paths !== undefined && { paths }),
    recovers,
    bytes(checked) {
      const { hook } = given('bytes');
      const bytes: unknown = runHookSync('device', use, hook, () => type.bytes(checked));
      if (isCount(bytes) && Number(bytes) <= MOST_BYTES) return Number(bytes);
      throw contractError('device', use, hook, `returned ${describeValue(bytes)}, no length of a request`);
    },
    ...(type.problem !== undefined && {
      problem(settings: unknown, checked: unknown): WorkloadProblem | undefined {
        const { hook } = given('problem');
        const problem: unknown = runHookSync('device', use, hook, () => type.problem!(settings, checked));
        return problem === undefined ? undefined : checkMembers(given('problem'), problem, PROBLEM);
      },
    }),
    open(driver, context) {
      const workload: unknown = type.open(driver, context);
      const members: readonly MemberCheck[] = [
        ['run', isFunction, 'a function'],
        recovers
          ? ['recover', isFunction, 'a function, since it recovers']
          : ['recover', orAbsent(isFunction), 'a function, or nothing'],
      ];
      const checked = checkMembers<Workload>(given('open'), workload, members);
      return new GuardedWorkload(use, kind, checked);
    },
  };
}

/** A workload of a plugin at work, behind checks. What its `run` and `recover` throw, the stack tells whose it is. */
class GuardedWorkload implements Workload {
  readonly #use: PluginUse;
  readonly #kind: string;
  readonly #workload: Workload;

  constructor(use: PluginUse, kind: string, workload: Workload) {
    this.#use = use;
    this.#kind = kind;
    this.#workload = workload;
  }

  get done(): WorkDone {
    const hook = `workloads.${this.#kind}.done`;
    const done: unknown = runHookSync('device', this.#use, hook, () => this.#workload.done);
    return checkMembers({ kind: 'device', use: this.#use, hook }, done, DONE);
  }

  run(): Promise<void> {
    return this.#workload.run();
  }

  recover(queue: number, ids: readonly number[]): void {
    this.#workload.recover?.(queue, ids);
  }
}
