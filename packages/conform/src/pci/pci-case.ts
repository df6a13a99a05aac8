import type { CaseNeed, ConformBench, ConformCase } from '@virtio-platform/core';
import { PciBench } from './pci-bench.ts';

/** A case of the PCI transport. */
export interface PciCase extends Omit<ConformCase, 'run'> {
  readonly run: (bench: ConformBench, pci: PciBench) => void | Promise<void>;
}

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
