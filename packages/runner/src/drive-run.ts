import { setTimeout } from 'node:timers/promises';
import type { BootedMachine } from '@virtio-platform/core';
import { blamePlugin, composeRun, type ComposedRun, type Profile } from '@virtio-platform/profile';
import { interruptRanges, rangesOfDevice } from './report/device-ranges.ts';
import { checkFaults } from './report/check-faults.ts';
import { compareExpectation } from './report/compare-expectation.ts';
import { describeNegotiation, describeRun, newState, reportFaults, type RunState } from './report/describe-run.ts';
import { negotiationAccount } from './report/negotiation-account.ts';
import { leaksOf, statisticsOf } from './report/platform-account.ts';
import type { RunReport } from './report/report.ts';
import type { FaultEvent, RunEvent } from './run-events.ts';
import type { RunOptions } from './run-options.ts';
import { RunSession } from './run-session.ts';
import { RecordedRun } from './recorded-run.ts';
import { SanitizedRun } from './sanitized-run.ts';
import { watchedBy } from './watched-by.ts';

/** How a run is driven. */
export interface DriveOptions extends Pick<RunOptions, 'sanitize' | 'plugins' | 'recorder' | 'watch'> {
  /** Ends the run. */
  readonly signal: AbortSignal;
  /** Is told what happens, but the end. Never throws. */
  readonly tell: (event: RunEvent) => void;
}

/** What looks at a run. */
interface Watchers {
  readonly sanitized: SanitizedRun | undefined;
  readonly recorded: RecordedRun;
}

/** How long after a failure the end of the device's program is waited for. */
const ENDING_MS = 20;

/**
 * Drives a run from composition to report. Throws what is wrong before the run is put together, and the reason of the
 * signal once it is aborted; whatever was started has ended then.
 */
export async function driveRun(profile: Profile, options: DriveOptions): Promise<RunReport> {
  const { plugins, signal, tell, recorder } = options;
  signal.throwIfAborted();
  const startedAt = performance.now();
  const state = newState((thrown, isInside) => blamePlugin(thrown, profile, plugins, isInside));
  const recorded = new RecordedRun(profile, recorder);
  const isSanitized = profile.driver.sanitize || options.sanitize === true;
  const sanitized = isSanitized ? new SanitizedRun(profile, recorded.found) : undefined;
  const { errors } = state;
  errors.watch(recorded.failed);
  let run: ComposedRun | undefined;
  try {
    run = await composeRun(profile, {
      ...plugins,
      watchDevice: (space) => {
        const watched = recorded.device.addressSpace(space);
        return sanitized?.watchDevice(watched) ?? watched;
      },
      watchDeviceQueue: (queue, index) => recorded.device.queue(queue, index),
      machineRecorder: recorded,
      signal,
    });
    recorded.booted(run);
    tell(bootedEvent(run));
    // What was recorded before the run is not its own.
    run.platform.recordedFaults?.();
    await drive(run, { sanitized, recorded }, state, options);
    sanitized?.end();
    state.recorded = [...state.recorded, ...(run.platform.recordedFaults?.() ?? [])];
  } catch (error) {
    errors.note(error);
  }
  try {
    if (run !== undefined) await askMachine(run.machine, state);
  } catch (error) {
    errors.note(error);
  }
  for (const error of (await run?.dispose()) ?? []) errors.note(error);
  recorded.end();
  state.logCut = recorded.cut;
  try {
    if (run !== undefined) state.leaked = leaksOf(run, state.dma.leaked);
  } catch (error) {
    errors.note(error);
  }
  signal.throwIfAborted();
  // Once the run is put together, what a plugin does wrong is a failure with all that is known of the run.
  if (run === undefined) errors.throwUnlessOfDevice();
  const findings = sanitized?.report ?? { findings: [], sanitizer: null };
  const report = { ...describeRun(profile, run, state, performance.now() - startedAt), ...findings };
  tellTrouble(state, report, tell);
  signal.throwIfAborted();
  return { ...report, differences: compareExpectation(report, profile) };
}

function bootedEvent({
  platformName: platform,
  machineName: machine,
  profile,
  machine: booted,
}: ComposedRun): RunEvent {
  const { transport, memory } = booted;
  const device = profile.device.type.name;
  return { type: 'booted', platform, machine, device, interface: transport.interface, memory: memory.size };
}

/** Tells of the faults and findings that were not told yet. */
function tellTrouble(
  { told }: RunState,
  { faults, recorded, findings }: Pick<RunReport, 'faults' | 'recorded' | 'findings'>,
  tell: (event: RunEvent) => void,
): void {
  const tellFaults = (seenBy: FaultEvent['seenBy'], from: number, of: RunReport['faults']): void => {
    for (const fault of of.slice(from)) tell({ type: 'fault', seenBy, fault });
  };
  tellFaults('machine', told.faults, faults);
  tellFaults('iommu', 0, recorded);
  for (const finding of findings.slice(told.findings)) tell({ type: 'finding', finding });
  told.faults = faults.length;
  told.findings = findings.length;
}

/** Asks the machine what it saw. */
async function askMachine(machine: BootedMachine, state: RunState): Promise<void> {
  const { errors } = state;
  errors.noteInside(machine.deviceError?.());
  state.faults = checkFaults(machine.faults.entries);
  const { deviceProgram } = machine;
  // The end of a program is an event of its own.
  if (deviceProgram !== undefined && errors.report !== null) await setTimeout(ENDING_MS);
  state.program = deviceProgram?.();
}

/**
 * Negotiates, runs the workload and ends the session. Every error is noted where it happens, so that one that ending
 * the session throws does not take the place of the one that ended the workload.
 */
async function drive(
  run: ComposedRun,
  { sanitized, recorded }: Watchers,
  state: RunState,
  { signal, tell, watch }: DriveOptions,
): Promise<void> {
  let session: RunSession;
  try {
    const sanitizer = sanitized?.open(run.machine.memory);
    // The session resets the device, and what is in flight then may be an interrupt.
    sanitized?.know(interruptRanges(run));
    const outer = sanitizer && watchedBy(sanitizer, run.profile.device.type.name);
    session = new RunSession(run, recorded.watch(outer, watch?.(run)), recorded);
  } catch (error) {
    state.errors.note(error);
    return;
  }
  sanitized?.attach(session);
  state.negotiation = session.negotiation;
  recorded.negotiated(session.negotiation);
  const account = negotiationAccount(session.negotiation, run.platform.rules);
  tell({ type: 'negotiated', ...describeNegotiation(run.profile, session.negotiation), account });
  const { requests: total } = run.profile.workload;
  const onProgress = (done: number): void => {
    tell({ type: 'progress', done, total });
    const faults = reportFaults(checkFaults(run.machine.faults.entries));
    tellTrouble(state, { faults, recorded: [], findings: sanitized?.report.findings ?? [] }, tell);
  };
  const step = (body: () => void): void => {
    try {
      body();
    } catch (error) {
      state.errors.note(error);
    }
  };
  if (session.negotiation.refusal === undefined) {
    try {
      await session.start(onProgress, signal);
      await session.run(signal);
      onProgress(session.workload?.requests ?? 0);
      session.checkNotifications();
      session.checkDescriptors();
    } catch (error) {
      state.errors.note(error, session.inspect());
      step(() => sanitized?.settle());
      step(() => session.explain(error));
    }
    step(() => sanitized?.settle());
    step(() => {
      state.recorded = run.platform.recordedFaults?.() ?? [];
      session.explainTrouble(state.recorded);
    });
    state.explanations = session.explanations;
    state.configuration = session.configuration;
  }
  step(() => {
    state.workload = session.workload ?? state.workload;
  });
  step(() => {
    state.queue = session.ring;
    state.notifications = session.notifications;
    state.latency = recorded.latency;
  });
  step(() => session.end());
  step(() => {
    // A device that does not confirm its reset keeps what it has: the report says how much.
    state.dma = { ...session.dma, pool: session.pool };
    state.injected = session.injected;
  });
  step(() => {
    state.statistics = statisticsOf(run);
  });
  step(() => {
    const ranges = rangesOfDevice(run);
    tell({ type: 'addresses', isRestricted: run.platform.traits.restrictedMemory, ranges });
  });
  step(() => session.dispose());
}
