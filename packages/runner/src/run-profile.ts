import { setTimeout } from 'node:timers/promises';
import {
  ContractError,
  describeValue,
  type BootedMachine,
  type CodedError,
  type DeviceProgram,
} from '@virtio-platform/core';
import { FaultLog, type DeviceFault } from '@virtio-platform/core/address-space';
import type { NegotiationResult, Refusal } from '@virtio-platform/core/negotiation';
import {
  blamePlugin,
  pluginSiteOf,
  composeRun,
  type ComposedRun,
  type NamedRun,
  type Profile,
  type ResolutionOptions,
} from '@virtio-platform/profile';
import { compareExpectation } from './compare-expectation.ts';
import { leaksOf, statisticsOf } from './platform-account.ts';
import type { FailureReport, FaultReport, RunReport, WorkloadReport } from './report.ts';
import { explainStall } from './ring-report.ts';
import { RunErrors } from './run-errors.ts';
import { RunSession } from './run-session.ts';
import { SanitizedRun } from './sanitized-run.ts';

/** What a run may be given beside the profile. */
export interface RunOptions {
  /** Called a few times a second while requests complete. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Runs it under the DMA sanitizer, also where the profile does not say so. */
  readonly sanitize?: boolean;
  /** Which plugins may be used, and where they are looked for. */
  readonly plugins?: ResolutionOptions;
}

/** How long after a failure the end of the device's program is waited for. */
const ENDING_MS = 20;

const NO_WORK: WorkloadReport = {
  requests: 0,
  bytes: 0,
  errors: 0,
  mismatches: { counts: {}, first: [] },
  verified: false,
  interruptions: 0,
  repeated: 0,
};

/**
 * Runs a profile: compose, negotiate, run the workload, reset, report. A device that fails, and a plugin that does
 * something wrong once the run is put together, is a report with outcome `failed`; a profile, plugin or installation
 * that is wrong before throws its coded error. Whatever was started is ended on
 * every way out.
 */
export async function runProfile(profile: Profile, options: RunOptions = {}): Promise<RunReport> {
  const startedAt = performance.now();
  const state = newState((thrown, isInside) => blamePlugin(thrown, profile, options.plugins, isInside));
  const sanitized = profile.driver.sanitize || options.sanitize === true ? new SanitizedRun(profile) : undefined;
  const { errors } = state;
  let run: ComposedRun | undefined;
  try {
    run = await composeRun(profile, { ...options.plugins, watchDevice: sanitized?.watchDevice });
    // What was recorded before the run is not its own.
    run.platform.recordedFaults?.();
    await drive(run, sanitized, state, options.onProgress ?? (() => {}));
    sanitized?.end();
    state.recorded = run.platform.recordedFaults?.() ?? [];
  } catch (error) {
    errors.note(error);
  }
  try {
    if (run !== undefined) await askMachine(run.machine, state);
  } catch (error) {
    errors.note(error);
  }
  for (const error of (await run?.dispose()) ?? []) errors.note(error);
  try {
    if (run !== undefined) state.leaked = leaksOf(run, state.dma.leaked);
  } catch (error) {
    errors.note(error);
  }
  // Once the run is put together, what a plugin does wrong is a failure with all that is known of the run.
  if (run === undefined) errors.throwUnlessOfDevice();
  const findings = sanitized?.report ?? { findings: [], sanitizer: null };
  const report = { ...describe(profile, run, state, performance.now() - startedAt), ...findings };
  return { ...report, differences: compareExpectation(report, profile) };
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

function checkFaults(faults: readonly DeviceFault[]): readonly DeviceFault[] {
  for (const fault of faults.slice(0, FaultLog.LIMIT) as readonly unknown[]) {
    const isFault = typeof fault === 'object' && fault !== null && 'address' in fault;
    if (!isFault || typeof fault.address !== 'bigint')
      throw new ContractError('machine', 'faults', `has ${describeValue(fault)}, which is no fault`);
  }
  return faults;
}

/**
 * The report of a run that failed with `error` outside of {@link runProfile}, or that `runProfile` threw. `report` is
 * what is known of the run otherwise; its own failure is the first one and stays, unless `error` came out of a plugin:
 * then that is what the other followed from.
 */
export function failedReport(profile: NamedRun, error: CodedError, report?: RunReport): RunReport {
  const known = report ?? { ...describe(profile, undefined, newState(), 0), findings: [], sanitizer: null };
  const errors = new RunErrors();
  errors.note(error);
  const own = withProgram(errors.report, undefined);
  const failure = withLater(pluginSiteOf(error) !== undefined ? own : null, known.failure) ?? own;
  const failed = { ...known, outcome: 'failed', failure } as const;
  return { ...failed, differences: compareExpectation(failed, profile) };
}

/** The first of two failures, with the second attached where it says something new. */
function withLater(first: FailureReport | null, second: FailureReport | null): FailureReport | null {
  if (first === null || second === null) return first ?? second;
  if (second.plugin !== null) return second;
  const { code, message, hint, later, rings, program } = second;
  return { ...first, rings, program, later: [...first.later, { code, message, hint }, ...later] };
}

function reportRefusal(refusal: Refusal | undefined): RunReport['refusal'] {
  if (refusal === undefined) return null;
  const { code, rule, reason, change } = refusal;
  return { code, rule, reason, change };
}

function reportFaults(faults: readonly DeviceFault[]): FaultReport[] {
  return faults.slice(0, FaultLog.LIMIT).map((fault) => ({ ...fault, address: `0x${fault.address.toString(16)}` }));
}

interface RunState {
  negotiation?: NegotiationResult;
  queue?: RunReport['queue'] | undefined;
  notifications: RunReport['notifications'];
  workload: WorkloadReport;
  configuration: RunReport['configuration'];
  dma: RunReport['dma'];
  leaked: RunReport['leaked'];
  statistics: RunReport['statistics'];
  injected: number;
  readonly errors: RunErrors;
  faults: readonly DeviceFault[];
  recorded: readonly DeviceFault[];
  program?: DeviceProgram | undefined;
}

function newState(coded?: (thrown: unknown, isInside?: boolean) => CodedError): RunState {
  return {
    workload: NO_WORK,
    configuration: { changes: 0, seen: [] },
    notifications: null,
    dma: { maps: 0, unmaps: 0, bytesBounced: 0, live: 0, leaked: 0, pool: null },
    leaked: { count: 0, first: [] },
    statistics: {},
    injected: 0,
    errors: new RunErrors(coded),
    faults: [],
    recorded: [],
  };
}

/**
 * Negotiates, runs the workload and ends the session. Every error is noted where it happens, so that one that ending
 * the session throws does not take the place of the one that ended the workload.
 */
async function drive(
  run: ComposedRun,
  sanitized: SanitizedRun | undefined,
  state: RunState,
  onProgress: (done: number, total: number) => void,
): Promise<void> {
  let session: RunSession;
  try {
    session = new RunSession(run, sanitized?.open(run.machine.memory));
  } catch (error) {
    state.errors.note(error);
    return;
  }
  state.negotiation = session.negotiation;
  if (session.negotiation.refusal === undefined) {
    try {
      await session.start(onProgress);
      await session.run();
      session.checkNotifications();
    } catch (error) {
      state.errors.note(error, session.inspect());
    }
    state.configuration = session.configuration;
  }
  const step = (body: () => void): void => {
    try {
      body();
    } catch (error) {
      state.errors.note(error);
    }
  };
  step(() => {
    state.workload = session.workload ?? state.workload;
  });
  step(() => {
    state.queue = session.ring;
    state.notifications = session.notifications;
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
  step(() => session.dispose());
}

function withProgram(
  failure: Omit<FailureReport, 'program'> | null,
  program: DeviceProgram | undefined,
): FailureReport | null {
  if (failure === null) return null;
  const { ending = null, stderrTail = '' } = program ?? {};
  return { ...failure, program: program === undefined ? null : { ending, stderrTail } };
}

/**
 * A device that was refused an access may wait for ever: then the first refusal says more than the time that passed. An
 * error inside the device explains what follows.
 */
function explainFailure(failure: FailureReport | null, faults: readonly DeviceFault[]): FailureReport | null {
  if (failure === null) return null;
  const inside = faults.find(({ cause }) => cause === 'device-error');
  if (inside !== undefined) return { ...failure, hint: `an error inside the device: ${inside.detail}` };
  if (failure.code !== 'ERR_DEVICE_STALLED') return failure;
  const [fault] = faults;
  if (fault === undefined) return { ...failure, hint: explainStall(failure.rings) ?? failure.hint };
  const { access, length, address, cause } = fault;
  const hint = `the device was refused a ${access} of ${length} bytes at 0x${address.toString(16)}: ${cause}`;
  return { ...failure, hint };
}

function describe(
  profile: NamedRun,
  run: ComposedRun | undefined,
  state: RunState,
  durationMs: number,
): Omit<RunReport, 'differences' | 'findings' | 'sanitizer'> {
  const { negotiation } = state;
  const failure = explainFailure(withProgram(state.errors.report, state.program), state.faults);
  const refusal = negotiation?.refusal;
  const { type } = profile.device;
  const { bits } = profile.policy;
  return {
    profile: profile.name,
    platform: run?.platformName ?? profile.platform.use,
    machine: run?.machineName ?? profile.machine.use,
    device: type.name,
    features: {
      offered: negotiation?.offered.names(type.features, bits) ?? [],
      accepted: negotiation?.accepted.names(type.features, bits) ?? [],
      declined: (negotiation?.decisions ?? [])
        .filter(({ outcome }) => outcome === 'declined')
        .map(({ name, rule, reason }) => ({ feature: name, rule, reason })),
    },
    path: negotiation?.path ?? null,
    queue: state.queue ?? null,
    outcome: failure !== null ? 'failed' : refusal !== undefined ? 'refused' : 'completed',
    refusal: reportRefusal(refusal),
    failure,
    workload: state.workload,
    configuration: state.configuration,
    notifications: state.notifications,
    dma: state.dma,
    leaked: state.leaked,
    statistics: state.statistics,
    injected: state.injected,
    faults: reportFaults(state.faults),
    recorded: reportFaults(state.recorded),
    durationMs: Math.round(durationMs),
  };
}
