import type { CodedError, DeviceProgram } from '@virtio-platform/core';
import { FaultLog, type DeviceFault } from '@virtio-platform/core/address-space';
import type { NegotiationResult, Refusal } from '@virtio-platform/core/negotiation';
import { pluginSiteOf, type ComposedRun, type NamedRun } from '@virtio-platform/profile';
import { compareExpectation } from './compare-expectation.ts';
import {
  REPORT_SCHEMA_VERSION,
  type FailureReport,
  type FaultReport,
  type RunReport,
  type WorkloadReport,
} from './report.ts';
import { explainStall } from './ring-report.ts';
import { RunErrors } from './run-errors.ts';
import { TOOL_VERSION } from './tool-version.ts';

const NO_WORK: WorkloadReport = {
  requests: 0,
  bytes: 0,
  errors: 0,
  mismatches: { counts: {}, first: [] },
  verified: false,
  interruptions: 0,
  repeated: 0,
};

/** What is known of a run so far. */
export interface RunState {
  negotiation?: NegotiationResult;
  queue?: RunReport['queue'] | undefined;
  notifications: RunReport['notifications'];
  latency: RunReport['latency'];
  workload: WorkloadReport;
  configuration: RunReport['configuration'];
  dma: RunReport['dma'];
  leaked: RunReport['leaked'];
  statistics: RunReport['statistics'];
  injected: number;
  readonly errors: RunErrors;
  explanations: RunReport['explanations'];
  faults: readonly DeviceFault[];
  recorded: readonly DeviceFault[];
  program?: DeviceProgram | undefined;
  logCut: RunReport['logCut'];
  /** How many of the faults and findings events have told of. */
  readonly told: { faults: number; findings: number };
}

/** Nothing is known of a run. `coded` is that of {@link RunErrors}. */
export function newState(coded?: (thrown: unknown, isInside?: boolean) => CodedError): RunState {
  return {
    workload: NO_WORK,
    configuration: { changes: 0, seen: [] },
    notifications: null,
    latency: null,
    dma: { maps: 0, unmaps: 0, bytesBounced: 0, live: 0, leaked: 0, pool: null },
    leaked: { count: 0, first: [] },
    statistics: {},
    injected: 0,
    errors: new RunErrors(coded),
    explanations: [],
    faults: [],
    recorded: [],
    logCut: null,
    told: { faults: 0, findings: 0 },
  };
}

/**
 * The report of a run that failed with `error` outside of `runProfile`, or that `runProfile` threw. `report` is
 * what is known of the run otherwise; its own failure is the first one and stays, unless `error` came out of a plugin:
 * then that is what the other followed from.
 */
export function failedReport(profile: NamedRun, error: CodedError, report?: RunReport): RunReport {
  const known = report ?? { ...describeRun(profile, undefined, newState(), 0), findings: [], sanitizer: null };
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
  const { code, rule, reason, change, option = null } = refusal;
  return { code, rule, reason, change, option };
}

/**
 * Faults as reports have them: the first {@link FaultLog.LIMIT}. What else a platform knows of one, such as the code
 * that its unit recorded, is in the text of `detail`.
 */
export function reportFaults(faults: readonly DeviceFault[]): FaultReport[] {
  return faults.slice(0, FaultLog.LIMIT).map(({ address, length, access, cause, detail }) => ({
    address: `0x${address.toString(16)}`,
    length,
    access,
    cause,
    ...(detail !== undefined && { detail }),
  }));
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

/** The report of a run by what is known of it; `run` is `undefined` where it was not put together. */
export function describeRun(
  profile: NamedRun,
  run: ComposedRun | undefined,
  state: RunState,
  durationMs: number,
): Omit<RunReport, 'differences' | 'findings' | 'sanitizer'> {
  const { negotiation } = state;
  const failure = explainFailure(withProgram(state.errors.report, state.program), state.faults);
  const { type } = profile.device;
  return {
    schemaVersion: REPORT_SCHEMA_VERSION,
    toolVersion: TOOL_VERSION,
    startedAt: new Date(Date.now() - durationMs).toISOString(),
    file: profile.file,
    seed: profile.workload.seed,
    profile: profile.name,
    platform: run?.platformName ?? profile.platform.use,
    machine: run?.machineName ?? profile.machine.use,
    device: type.name,
    ...describeNegotiation(profile, negotiation),
    queue: state.queue ?? null,
    outcome: failure !== null ? 'failed' : negotiation?.refusal !== undefined ? 'refused' : 'completed',
    failure,
    explanations: state.explanations,
    workload: state.workload,
    configuration: state.configuration,
    notifications: state.notifications,
    latency: state.latency,
    dma: state.dma,
    leaked: state.leaked,
    statistics: state.statistics,
    injected: state.injected,
    faults: reportFaults(state.faults),
    recorded: reportFaults(state.recorded),
    logCut: state.logCut,
    durationMs: Math.round(durationMs),
  };
}

/** What came of negotiation; without it there are no features. */
export function describeNegotiation(
  { device, policy }: NamedRun,
  negotiation: NegotiationResult | undefined,
): Pick<RunReport, 'features' | 'path' | 'refusal'> {
  const { features } = device.type;
  return {
    features: {
      offered: negotiation?.offered.names(features, policy.bits) ?? [],
      accepted: negotiation?.accepted.names(features, policy.bits) ?? [],
      declined: (negotiation?.decisions ?? [])
        .filter(({ outcome }) => outcome === 'declined')
        .map(({ name, rule, reason }) => ({ feature: name, rule, reason })),
    },
    path: negotiation?.path ?? null,
    refusal: reportRefusal(negotiation?.refusal),
  };
}
