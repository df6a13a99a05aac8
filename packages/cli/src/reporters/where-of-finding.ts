import { findingRequest, type FindingReport } from '@virtio-platform/runner';

/** The request that a finding is of, its buffer, and where a device has it, in words; `null` where none is known. */
export function whereOfFinding(finding: FindingReport): string | null {
  const parts = [...findingRequest(finding), bufferOfFinding(finding)].filter((part) => part !== '');
  return parts.length === 0 ? null : parts.join(', ');
}

/** The buffer of a finding, and where a device has it, in words; empty where neither is known. */
export function bufferOfFinding({ buffer, deviceAddress, device, queue, descriptor }: FindingReport): string {
  const parts = [
    buffer && `${buffer.length} bytes at ${buffer.address}`,
    buffer?.direction,
    deviceAddress && `device address ${deviceAddress} of ${device}`,
    queue !== null && `queue ${queue}`,
    descriptor !== null && `descriptor ${descriptor}`,
  ];
  return parts.filter(Boolean).join(', ');
}
