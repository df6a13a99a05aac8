import { afterAll, describe, expect, it } from 'vitest';
import { isFailure, PCI_CASES, planCases, type PlannedCase } from '../src/index.ts';
import { bugOf } from './pci/pci-bugs.ts';
import { PciHarness } from './pci/pci-harness.ts';

const CASES = planCases(PCI_CASES);

const harness = await PciHarness.open();
afterAll(() => harness.end());

/** Of the bugs that crash at one access each, every third is tried, and all of them with ALL_BUGS. */
const STRIDE = process.env['ALL_BUGS'] === undefined ? 3 : 1;
const CRASHES = /^pci\/(width|value|status|legacy\/(read|write)-)/;

/** Whether a case fails on the function with the bug of a case. */
async function fails(planned: PlannedCase, of: PlannedCase): Promise<boolean> {
  return isFailure(
    await harness.try(
      planned,
      bugOf(of.id, () => harness.hardware),
    ),
  );
}

describe('the PCI function', () => {
  it('passes every case', { timeout: 240_000 }, async () => {
    const failed: string[] = [];
    const skipped: string[] = [];
    const patient = await PciHarness.open(300);
    for (const planned of CASES) {
      const { id, verdict, seen } = await patient.try(planned);
      if (verdict === 'skip') skipped.push(id);
      else if (verdict !== 'pass') failed.push(`${id}: ${verdict}, ${seen}`);
    }
    await patient.end();
    expect(failed).toEqual([]);
    // Their bugs are functions that have what this one has not.
    expect(skipped).toEqual([
      'pci/identity/modern-revision',
      'pci/identity/modern-subsystem',
      'pci/list/vendor-of-vendor-data',
      'pci/list/shared-memory',
    ]);
  });

  it('has a bug for each case, which the case finds', { timeout: 240_000 }, async () => {
    const notFound: string[] = [];
    for (const [i, planned] of CASES.entries()) {
      if (CRASHES.test(planned.id) && i % STRIDE !== 0) continue;
      const isFound = bugOf(planned.id, () => harness.hardware) !== undefined && (await fails(planned, planned));
      if (!isFound) notFound.push(planned.id);
    }
    expect(notFound).toEqual([]);
  });

  it('has bugs by which neighbouring cases are told apart', { timeout: 240_000 }, async () => {
    const together: string[] = [];
    for (let i = 0; i < CASES.length - 1; i += STRIDE) {
      const [one, next] = [CASES[i]!, CASES[i + 1]!];
      if (familyOf(one.id) !== familyOf(next.id)) continue;
      if ((await fails(next, one)) && (await fails(one, next))) together.push(`${one.id}, ${next.id}`);
    }
    expect(together).toEqual([]);
  });
});

/** The first two parts of an id. */
function familyOf(id: string): string {
  return id.split('/').slice(0, 2).join('/');
}
