import type { FaultReport, FindingReport } from '../report/report.ts';
import { completeExplanation, type DescribeBuffer } from './complete-explanation.ts';
import { diagnoseAccess, diagnoseInside, diagnoseRecorded, workedOn } from './diagnose-fault.ts';
import { count, describePlace, ringPlace, type Diagnosis } from './diagnosis.ts';
import type { FailureEvidence } from './failure-evidence.ts';
import { NO_PLACE, type FailureExplanation } from './failure-explanation.ts';

/** Explains an access that was refused and did not end the run, or an error inside the device, when it happened. */
export function explainFault(
  fault: FaultReport,
  evidence: FailureEvidence,
  describe: DescribeBuffer,
): FailureExplanation {
  const { ring, diagnosis } =
    fault.cause === 'device-error' ? diagnoseInside(evidence, fault) : diagnoseAccess(evidence, fault);
  return completeExplanation('fault', diagnosis, evidence, ring, describe);
}

/** Explains what the IOMMU recorded, where nothing else saw the access. */
export function explainRecorded(
  fault: FaultReport,
  evidence: FailureEvidence,
  describe: DescribeBuffer,
): FailureExplanation {
  return completeExplanation('fault', diagnoseRecorded(evidence, fault).diagnosis, evidence, undefined, describe);
}

/**
 * Explains a finding of the DMA sanitizer, when it was found. Often that is while the driver adds the buffer, so that
 * the driver half does not know yet what it is for.
 */
export function explainFinding(finding: FindingReport, evidence: FailureEvidence): FailureExplanation {
  const { what, queue, descriptor, buffer, deviceAddress, hint, device, operation } = finding;
  const isOfNone = finding.request === null && queue === null;
  const ring = evidence.rings.find((candidate) => candidate.queue === queue);
  const known = { buffer: descriptor, address: buffer?.address ?? null, deviceAddress, operation };
  const place = ring === undefined ? { ...NO_PLACE, ...known, queue } : ringPlace(ring, known);
  const work = ring === undefined ? workedOn(evidence) : undefined;
  const where = [
    ...(isOfNone ? [] : findingRequest(finding)),
    ...(ring === undefined ? [] : [describePlace(ring, place)]),
    ...(buffer === null ? [] : [`${count(buffer.length, 'byte')} at ${buffer.address}`]),
    ...(deviceAddress === null ? [] : [`device address ${deviceAddress} of the device ${device}`]),
  ];
  const notes = work === undefined ? [] : [isOfNone && operation !== null ? `${work.note}, a ${operation}` : work.note];
  const diagnosis: Diagnosis = {
    what,
    where: where.join(', ') || `the driver of the device ${device}`,
    place,
    notes,
    next: hint,
  };
  return completeExplanation('finding', diagnosis, evidence, ring ?? work?.ring, () => undefined);
}

/** The request that a finding is of, in words: `write of sector 312`, `added as number 17`. */
export function findingRequest({ operation, request }: Pick<FindingReport, 'operation' | 'request'>): string[] {
  const number = request === null ? [] : [`added as number ${request}`];
  return operation === null ? number : [operation, ...number];
}
