import { afterAll, describe, expect, it } from 'vitest';
import { isFailure, PCI_CASES, planCases } from '../src/index.ts';
import { bugOf } from './pci/pci-bugs.ts';
import { PciHarness } from './pci/pci-harness.ts';

const CASES = planCases(PCI_CASES);

const harness = await PciHarness.open();
afterAll(() => harness.end());

describe('the PCI function', () => {
  it('passes every case', { timeout: 60_000 }, async () => {
    const failed: string[] = [];
    const skipped: string[] = [];
    for (const planned of CASES) {
      const { id, verdict, seen } = await harness.try(planned);
      if (verdict === 'skip') skipped.push(id);
      else if (verdict !== 'pass') failed.push(`${id}: ${verdict}, ${seen}`);
    }
    expect(failed).toEqual([]);
    expect(skipped).toEqual([
      'pci/identity/modern-revision',
      'pci/identity/modern-subsystem',
      'pci/list/vendor-of-vendor-data',
      'pci/list/shared-memory',
    ]);
  });

  it('has a bug for each case, which fails it', { timeout: 120_000 }, async () => {
    const wrong: string[] = [];
    for (const planned of CASES) {
      const bug = bugOf(planned.id, () => harness.hardware);
      const result = bug && (await harness.try(planned, bug));
      if (result === undefined || !isFailure(result)) wrong.push(`${planned.id}: ${result?.verdict ?? 'no bug'}`);
    }
    expect(wrong).toEqual([]);
  });

  it('has bugs that the next case of the family passes', { timeout: 120_000 }, async () => {
    const together: string[] = [];
    for (const [i, planned] of CASES.entries()) {
      const next = CASES[i + 1];
      if (next === undefined || familyOf(next.id) !== familyOf(planned.id)) continue;
      const result = await harness.try(
        next,
        bugOf(planned.id, () => harness.hardware),
      );
      if (isFailure(result)) together.push(`${planned.id}, and ${next.id}: ${result.seen}`);
    }
    expect(together).toEqual([]);
  });
});

/** The first two parts of an id. */
function familyOf(id: string): string {
  return id.split('/').slice(0, 2).join('/');
}
