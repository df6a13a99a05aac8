import { describeAccess, type FailureExplanation, type FaultReport } from '@virtio-platform/runner';

/** The explanation that names a fault: of the fault itself, or of a failure that it belongs to. */
export function explanationOfFault(
  fault: FaultReport,
  explanations: readonly FailureExplanation[],
): FailureExplanation | undefined {
  const access = fault.cause === 'device-error' ? (fault.detail ?? '') : describeAccess(fault);
  if (access === '') return undefined;
  return explanations.find(({ what, notes }) => [what, ...notes].some((text) => text.includes(access)));
}
