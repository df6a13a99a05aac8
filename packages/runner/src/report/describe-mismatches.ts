import type { MismatchReport } from '@virtio-platform/core';

/** The mismatches of a workload in sentences, one for the first of each kind, with how many there are. */
export function describeMismatches({ counts, first }: MismatchReport): string[] {
  return first.map((mismatch) => {
    const { kind, what, detail, request, queue, buffer, address, deviceAddress } = mismatch;
    const place = [
      `request ${request}`,
      `queue ${queue}`,
      ...(buffer === null ? [] : [`buffer ${buffer}`]),
      ...(address === null ? [] : [`address ${address}`]),
      ...(deviceAddress === null ? [] : [`device address ${deviceAddress}`]),
    ];
    const count = counts[kind] ?? 1;
    return `${what}: ${detail} (${place.join(', ')})${count > 1 ? `; ${count} of this kind` : ''}`;
  });
}
