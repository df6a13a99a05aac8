import type { Clause } from '@virtio-platform/core';
import type { BootedSubject } from '../device/booted-subject.ts';
import type { CaseResult } from './case-result.ts';
import { coverageOf, type ClauseCoverage } from './coverage.ts';

/** What a device is, as a report has it. */
export interface DeviceReport {
  /** The short name of its type. */
  readonly type: string;
  /** The machine that it is in, and where conform knows it the back-end with its version. */
  readonly machine: string;
  readonly backEnd: string | null;
  readonly offered: readonly string[];
  readonly queues: number;
  readonly maxQueueSize: number;
}

/** One case of a report. */
export type CaseReport = Pick<
  CaseResult,
  'id' | 'clause' | 'level' | 'title' | 'verdict' | 'seen' | 'severity' | 'ring' | 'durationMs'
> & { readonly known: string | null };

/** The result of `conform`, as plain data. It stays stable. */
export interface ConformReport {
  readonly device: DeviceReport;
  readonly cases: readonly CaseReport[];
  readonly coverage: readonly ClauseCoverage[];
}

/** Describes a device that was booted. */
export function describeDevice({ type, machineName, offered }: BootedSubject, backEnd?: string): DeviceReport {
  return {
    type: type.name,
    machine: machineName,
    backEnd: backEnd ?? null,
    offered: offered.offered.names(type.features),
    queues: offered.queueCount,
    maxQueueSize: offered.maxQueueSize(0),
  };
}

/** The report of the cases of a device, for the clauses that they name. */
export function conformReport(
  device: DeviceReport,
  clauses: readonly Clause[],
  results: readonly CaseResult[],
): ConformReport {
  return {
    device,
    cases: results.map(({ known = null, ...rest }) => ({ ...rest, known })),
    coverage: coverageOf(clauses, results),
  };
}
