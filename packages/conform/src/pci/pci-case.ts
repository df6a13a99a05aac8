import {
  caseGroup,
  type CaseGroup,
  type CaseNeed,
  type ConformBench,
  type ConformCase,
  type ConformRing,
  type StartOptions,
} from '@virtio-platform/core';
import { PciBench } from './pci-bench.ts';

/** A case of the PCI transport. */
export interface PciCase extends Omit<ConformCase, 'run'> {
  readonly run: (bench: ConformBench, pci: PciBench) => void | Promise<void>;
}

/** A case of the PCI transport, of which the level is MUST unless it says otherwise. */
export interface PciTemplate extends Omit<PciCase, 'level'> {
  readonly level?: ConformCase['level'];
}

/** A case on a device that was started, and the ring of its first queue. */
export interface StartedPciCase extends Omit<PciTemplate, 'run'> {
  /** Default: as `bench.start` does without options. */
  readonly start?: StartOptions;
  readonly run: (bench: ConformBench, pci: PciBench, ring: ConformRing) => void | Promise<void>;
}

/** Makes a case that starts the device itself, where it needs a started one. */
export function pciCase(template: PciTemplate): PciCase {
  return { level: 'MUST', ...template };
}

/** Makes a case that starts the device first. */
export function startedPciCase({ start, run, ...rest }: StartedPciCase): PciCase {
  return pciCase({ ...rest, run: async (bench, pci) => run(bench, pci, await bench.start(start)) });
}

/** Cases that start the device themselves, with what they share. */
export const pciCases: CaseGroup<PciTemplate, PciCase> = caseGroup(pciCase);
/** Cases that start the device first, with what they share. */
export const startedPciCases: CaseGroup<StartedPciCase, PciCase> = caseGroup(startedPciCase);

const isFunction: CaseNeed = ({ pci }) => (pci === undefined ? 'the device is no PCI function' : undefined);

/** The case as one of every device: the function's own registers are as before when it ends. */
export function overPci(pciCase: PciCase): ConformCase {
  return {
    ...pciCase,
    needs: [isFunction, ...(pciCase.needs ?? [])],
    run: async (bench) => {
      const pci = new PciBench(bench);
      try {
        await pciCase.run(bench, pci);
      } finally {
        pci.restore();
      }
    },
  };
}
