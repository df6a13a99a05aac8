import type { DeviceFault } from '@virtio-platform/core/address-space';
import type { ExpectSection } from '@virtio-platform/profile';
import { reportFaults } from '../report/describe-run.ts';
import type { FindingReport } from '../report/report.ts';
import type { DescribeBuffer } from './complete-explanation.ts';
import { describeAccess } from './diagnose-fault.ts';
import { explainFault, explainFinding, explainRecorded } from './explain-trouble.ts';
import type { FailureEvidence } from './failure-evidence.ts';
import type { FailureExplanation } from './failure-explanation.ts';

/** Makes an explanation by what is known now, where there is room for one. */
type Explain = (make: (evidence: FailureEvidence, describe: DescribeBuffer) => FailureExplanation) => void;

/**
 * Has what a run survives explained while rings and events are as they were: the first refused access and the first
 * finding beyond those that the profile expects. What the IOMMU alone recorded is explained at the end.
 */
export class ExplainedTrouble {
  readonly #expect: Pick<ExpectSection, 'faults' | 'findings' | 'recorded'>;
  readonly #explain: Explain;
  #faults = 0;
  #findings = 0;
  /** The access of the explained fault in words. */
  #access: string | undefined;
  #explained: FailureExplanation | undefined;

  constructor(expect: Pick<ExpectSection, 'faults' | 'findings' | 'recorded'>, explain: Explain) {
    this.#expect = expect;
    this.#explain = explain;
  }

  /** The device was refused an access, or met an error. */
  faulted(fault: DeviceFault): void {
    if (this.#faults++ !== (this.#expect.faults ?? 0)) return;
    const [report] = reportFaults([fault]);
    this.#access = describeAccess(report!);
    this.#explain((evidence, describe) => (this.#explained = explainFault(report!, evidence, describe)));
  }

  /** The DMA sanitizer found a mistake. */
  found(finding: FindingReport): void {
    if (this.#findings++ !== (this.#expect.findings ?? 0)) return;
    this.#explain((evidence) => explainFinding(finding, evidence));
  }

  /** The workload has ended: `faults` are all of the machine, also those that it had told of. */
  ended(faults: readonly DeviceFault[], recorded: readonly DeviceFault[]): void {
    for (const fault of faults.slice(this.#faults)) this.faulted(fault);
    const first = recorded[this.#expect.recorded ?? 0];
    if (first === undefined || this.#access !== undefined) return;
    const [report] = reportFaults([first]);
    this.#explain((evidence, describe) => explainRecorded(report!, evidence, describe));
  }

  /** Whether `explanation` is that of the refused access, and another one of `all` names the same access. */
  isNamedBy(explanation: FailureExplanation, all: readonly FailureExplanation[]): boolean {
    const access = this.#access;
    if (access === undefined || explanation !== this.#explained) return false;
    return all.some((other) => other !== explanation && [other.what, ...other.notes].some((t) => t.includes(access)));
  }
}
