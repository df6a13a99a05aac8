import type { DriverContext } from '../driver-half.ts';
import type { WorkloadReport } from '../report.ts';
import type { Disruptions } from './disruptions.ts';
import type { MismatchLog } from './mismatch.ts';

/** What a workload counts itself: requests that are complete, bytes moved, and requests that it made again. */
export type WorkDone = Pick<WorkloadReport, 'requests' | 'bytes' | 'repeated'>;

/** The report of a workload: verified where every request of the profile is complete and none came back wrong. */
export function workloadReport(
  { profile }: DriverContext,
  done: WorkDone,
  mismatches: MismatchLog,
  disruptions: Disruptions,
): WorkloadReport {
  return {
    ...done,
    errors: mismatches.count,
    mismatches: mismatches.report,
    verified: done.requests === profile.workload.requests && mismatches.count === 0,
    interruptions: disruptions.count,
  };
}
