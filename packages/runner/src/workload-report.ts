import type { Workload } from '@virtio-platform/core';
import type { Profile } from '@virtio-platform/profile';
import type { WorkloadReport } from './report.ts';
import type { RunLoop } from './run-loop.ts';

/** The report of a workload: verified where every request of the profile is complete and none came back wrong. */
export function workloadReport({ workload: asked }: Profile, { done }: Workload, loop: RunLoop): WorkloadReport {
  const { requests, bytes, repeated, mismatches } = done;
  const errors = Object.values(mismatches.counts).reduce((sum, count) => sum + count, 0);
  return {
    requests,
    bytes,
    errors,
    mismatches,
    verified: requests === asked.requests && errors === 0,
    interruptions: loop.disruptions,
    repeated,
  };
}
