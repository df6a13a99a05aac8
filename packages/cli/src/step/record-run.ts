import type { Profile, ResolutionOptions } from '@virtio-platform/profile';
import { runProfile, type RunOptions, type RunReport } from '@virtio-platform/runner';
import { DetailRecorder, untilFailure, type Recording, type StepEvent } from '@virtio-platform/step';

/** Events that there is room for: for each request, and before and after them. */
const EVENTS_PER_REQUEST = 256;
const EVENTS_BESIDE = 8192;

/**
 * Runs a profile with at most `requests` requests, and records every detail of it. What a run comes to is part of the
 * recording, also a refusal or a failure; throws as `runProfile` does.
 */
export async function recordRun(profile: Profile, requests: number, plugins: ResolutionOptions): Promise<Recording> {
  const most = Math.min(requests, profile.workload.requests);
  const recorder = new DetailRecorder(most * EVENTS_PER_REQUEST + EVENTS_BESIDE);
  let mapping: Recording['mapping'] = null;
  const watch: RunOptions['watch'] = ({ machine, platform }) => {
    const { mappedPath, mappingSteps } = platform.traits;
    if (mappingSteps !== undefined) mapping = { path: mappedPath, steps: mappingSteps };
    const byteOrder = machine.transport.interface === 'legacy' ? platform.guestByteOrder : 'little';
    return {
      queue: (queue) => {
        recorder.follow(queue, machine.memory, byteOrder);
        return queue;
      },
    };
  };
  const short = { ...profile, workload: { ...profile.workload, requests: most } };
  const report = await runProfile(short, { recorder, watch, plugins });
  const { events } = recorder;
  const { platform, machine, device } = report;
  return {
    name: profile.name,
    platform,
    machine,
    device,
    features: profile.device.type.features,
    ...untilFailure([...events, ...failureEvent(report, events)]),
    dropped: recorder.count - events.length,
    hasMemory: !recorder.isIncomplete,
    mapping,
    outcome: outcomeText(report, most),
  };
}

/** A run that failed before it could record why, such as in negotiation. */
function failureEvent({ failure }: RunReport, events: readonly StepEvent[]): StepEvent[] {
  if (failure === null || events.some(({ kind }) => kind === 'failure')) return [];
  const last = events.at(-1);
  const text = `${failure.code}: ${failure.message}`;
  const at = { index: (last?.index ?? -1) + 1, time: last?.time ?? 0 };
  const none = { queue: -1, id: 0, address: null, deviceAddress: 0n, length: 0, extra: 0 };
  return [{ ...at, kind: 'failure', ...none, text, placed: [], changes: [] }];
}

function outcomeText({ outcome, failure, refusal, workload }: RunReport, asked: number): string {
  if (failure !== null) {
    const hint = failure.hint === null ? '' : `; ${failure.hint}`;
    return `the run failed: ${failure.message}${hint} [${failure.code}]`;
  }
  if (refusal !== null) return `refused by ${refusal.rule}: ${refusal.reason} [${refusal.code}]`;
  const done = `${workload.requests} of ${asked} requests`;
  return `${outcome}: ${done}, ${workload.errors} errors`;
}
