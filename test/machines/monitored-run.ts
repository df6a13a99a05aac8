import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { loadProfile, missingRequirements } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { monitor, MonitorGone } from './qmp-monitor.ts';

/** A run whose QEMU is acted on through its monitor. */
export interface Monitored {
  /** For what is opened during the run; removed after it. */
  readonly folder: string;
  /** Sends commands, and returns what the monitor answered to each. */
  readonly ask: (...commands: readonly object[]) => Promise<unknown[]>;
  /** Waits until so many more requests are complete. */
  readonly more: (requests: number) => Promise<void>;
}

/** The sections of a profile but its `profile`; the machine is QEMU, and has no `arguments`. */
export interface MonitoredSections {
  readonly machine: object;
  readonly device: object;
  readonly workload: { readonly requests: number; readonly [option: string]: unknown };
  readonly driver?: object;
}

/** Runs of double the requests before the last. */
const MOST_DOUBLINGS = 5;

/** Runs a profile once; undefined where the run ended before `act` was done. */
async function runOnce(
  sections: MonitoredSections,
  act: (monitored: Monitored) => Promise<void>,
): Promise<RunReport | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  try {
    const socket = join(folder, 'qmp');
    const path = join(folder, 'monitored.yaml');
    const machine = {
      use: '@virtio-platform/machine-qemu',
      arguments: ['-qmp', `unix:${socket},server=on,wait=off`],
      ...sections.machine,
    };
    const platform = { use: '@virtio-platform/platform-legacy' };
    writeFileSync(path, JSON.stringify({ profile: 'monitored', platform, ...sections, machine }));
    const profile = await loadProfile(path);
    // In CI, what is missing is an error of the run.
    const missing = process.env['CI'] === undefined ? await missingRequirements(profile) : [];
    if (missing.length > 0) throw new Error(`the run needs ${missing.map(({ what }) => what).join(', ')}`);
    const progress = { done: 0, hasEnded: false };
    const monitored: Monitored = {
      folder,
      ask: (...commands) => monitor(socket, commands),
      async more(requests) {
        for (const end = progress.done + requests; progress.done < end; await setTimeout(1))
          if (progress.hasEnded) throw new MonitorGone(socket);
      },
    };
    let acted: Promise<boolean> | undefined;
    const report = await runProfile(profile, {
      onProgress(completed) {
        progress.done = completed;
        if (completed === 0) return;
        acted ??= act(monitored).then(
          () => true,
          (error: unknown) => {
            if (error instanceof MonitorGone) return false;
            throw error;
          },
        );
        // Looked at once the run has ended.
        acted.catch(() => {});
      },
    });
    progress.hasEnded = true;
    return (await acted) === true || report.failure !== null ? report : undefined;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Runs a profile whose QEMU `act` changes through the monitor once requests complete. How long the monitor takes is not
 * known: where the run ends first, a run of twice the requests follows. Throws where that does not help, and what `act`
 * throws.
 */
export async function runMonitored(
  sections: MonitoredSections,
  act: (monitored: Monitored) => Promise<void>,
): Promise<RunReport> {
  for (let doublings = 0; doublings <= MOST_DOUBLINGS; doublings++) {
    const requests = sections.workload.requests * 2 ** doublings;
    const report = await runOnce({ ...sections, workload: { ...sections.workload, requests } }, act);
    if (report !== undefined) return report;
  }
  throw new Error(`a run of ${sections.workload.requests * 2 ** MOST_DOUBLINGS} requests ended before it was acted on`);
}
