import type { Profile } from '@virtio-platform/profile';
import { ProfileRun } from './profile-run.ts';
import type { RunReport } from './report/report.ts';
import type { RunOptions } from './run-options.ts';

/**
 * Starts a run of a profile: compose, negotiate, run the workload, reset, report. A device that fails, and a plugin
 * that does something wrong once the run is put together, is a report with outcome `failed`; a profile, plugin or
 * installation that is wrong before is an error of the run. Whatever was started is ended on every way out. Throws
 * `TypeError` for a profile that was not loaded, and for a signal that is none.
 */
export function startProfile(profile: Profile, options: RunOptions = {}): ProfileRun {
  return new ProfileRun(profile, options);
}

/** Runs a profile to its end: the report of {@link startProfile}, and rejects as that does. */
export async function runProfile(profile: Profile, options: RunOptions = {}): Promise<RunReport> {
  return await startProfile(profile, options).report;
}
