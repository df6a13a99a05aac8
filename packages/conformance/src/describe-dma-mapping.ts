import assert from 'node:assert/strict';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { describeContract, runCheck, type ContractCheck } from './contract-check.ts';
import { DMA_ACCESS_CHECKS } from './contract/dma/access-checks.ts';
import { BUFFER_CHECKS } from './contract/dma/buffer-checks.ts';
import { BUFFER_PAGES, type DmaMappingSubject, type DmaMappingTrial } from './contract/dma/dma-trial.ts';
import { DMA_LIMIT_CHECKS } from './contract/dma/limit-checks.ts';
import { REGION_CHECKS } from './contract/dma/region-checks.ts';
import { DMA_REVOCATION_CHECKS } from './contract/dma/revocation-checks.ts';
import { SHARING_CHECKS } from './contract/dma/sharing-checks.ts';

export { DMA_ACCESS_CHECKS, DMA_LIMIT_CHECKS, DMA_REVOCATION_CHECKS };
export type { DmaMappingSubject, DmaMappingTrial } from './contract/dma/dma-trial.ts';

/** The promises of the `DmaMapping` contract, one check each. */
export const DMA_MAPPING_CHECKS: readonly ContractCheck<DmaMappingTrial>[] = [
  ...BUFFER_CHECKS,
  ...REGION_CHECKS,
  ...DMA_LIMIT_CHECKS,
  ...SHARING_CHECKS,
  ...DMA_ACCESS_CHECKS,
  ...DMA_REVOCATION_CHECKS,
];

/**
 * Runs one check, and then resets the device and disposes the subject. Every check includes that nothing stays live or
 * allocated. Throws {@link CheckSkipped} where the check does not apply.
 */
export async function checkDmaMapping(
  check: ContractCheck<DmaMappingTrial>,
  subject: DmaMappingSubject,
): Promise<void> {
  const { memory, mapping } = subject;
  const buffer = memory.allocate(BUFFER_PAGES * PAGE_SIZE, PAGE_SIZE, mapping.limits.reach);
  try {
    await runCheck(check, { ...subject, buffer });
  } finally {
    // The driver resets the device before it gives up the mapping, and the machine tells the address space.
    subject.device?.reset?.();
    mapping.dispose();
    memory.free(buffer);
    subject.dispose();
  }
  assert.equal(mapping.statistics.live, 0, 'nothing is live after dispose');
  assert.equal(memory.allocated, 0, 'no memory is allocated after dispose');
}

/** Checks a mapping against the whole contract; `setup` makes a fresh subject for each check. */
export function describeDmaMapping(
  name: string,
  subject: { setup(): DmaMappingSubject | Promise<DmaMappingSubject> },
): void {
  describeContract(`${name} as a DmaMapping`, DMA_MAPPING_CHECKS, async (check) => {
    await checkDmaMapping(check, await subject.setup());
  });
}
