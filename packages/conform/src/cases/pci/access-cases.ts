import type { AccessWidth } from '@virtio-platform/core/device';
import { AREA_REGISTERS, COMMON, COMMON_REGISTERS, type CommonRegister } from '../../pci/common-registers.ts';
import { enterState, STATE_WORDS } from '../../pci/device-state.ts';
import type { PciBench } from '../../pci/pci-bench.ts';
import type { PciCase } from '../../pci/pci-case.ts';
import { CFG_TYPE, type VirtioCapability } from '../../pci/virtio-capability.ts';

const WIDTHS: readonly AccessWidth[] = [1, 2, 4];

/** The registers, each with the widths that are not its own and to which it is aligned. */
const WRONG_WIDTHS = COMMON_REGISTERS.flatMap((register) =>
  WIDTHS.filter((width) => width !== register.width && register.offset % width === 0).map(
    (width) => [register, width] as const,
  ),
);

/** Why a register is not accessed by a width; `undefined` where it may be. */
function tooShort({ capability }: { readonly capability: VirtioCapability }, end: number): string | undefined {
  return end <= capability.bytes ? undefined : `its common configuration ends at byte ${capability.bytes}`;
}

function widthCase([register, width]: readonly [CommonRegister, AccessWidth], what: 'read' | 'write'): PciCase {
  const { name, offset } = register;
  return {
    id: `pci/width/${what}-${name}-by-${8 * width}`,
    clause: '4.1.3.1',
    level: 'MUST',
    title: `survives ${what === 'read' ? 'a read of' : 'a write to'} ${name} by ${8 * width} bits`,
    isHostile: true,
    run: async (bench, pci) => {
      await bench.start();
      const common = pci.structure(CFG_TYPE.common);
      const why = tooShort(common, offset + width);
      if (why !== undefined) bench.skip(why);
      pci.write(COMMON.queueSelect, 0);
      if (what === 'read') common.read(offset, width);
      else common.write(offset, width, pci.read(register) & (2 ** (8 * width) - 1));
      await bench.settle();
    },
  };
}

/** Values that are wrong for a register, by what a driver may do: the lowest and the highest. */
function wrongValues({ name, width, isWritable }: CommonRegister, state: 'driver' | 'live'): readonly number[] {
  const ones = 2 ** (8 * width) - 1;
  if (!isWritable || name === COMMON.status.name) return [];
  if (name.endsWith('_msix_vector')) return [0x7ff, ones - 1];
  if (name.endsWith('_select') || name === COMMON.driverFeature.name) return [ones];
  if (name === COMMON.queueReset.name) return state === 'live' ? [1, ones] : [1, 2, ones];
  if (name === COMMON.queueEnable.name) return state === 'live' ? [0, 2, ones] : [0, 1, ones];
  if (name === COMMON.queueSize.name) return [0, 3, ones];
  return state === 'live' ? [0, ones] : [ones];
}

function valueCase(register: CommonRegister, value: number, state: 'driver' | 'live'): PciCase {
  return {
    id: `pci/value/${register.name}-0x${value.toString(16)}-${state}`,
    clause: '4.1.4.3',
    level: 'MUST',
    title: `survives 0x${value.toString(16)} in ${register.name} when it is ${STATE_WORDS[state]}`,
    isHostile: true,
    run: async (bench, pci) => {
      await enterState(bench, state);
      if (!pci.has(register)) bench.skip(`its common configuration has no ${register.name}`);
      pci.write(COMMON.queueSelect, 0);
      pci.write(register, value);
      pci.read(register);
      pci.write(COMMON.queueSelect, 0);
      if (state === 'live') pci.notify(0);
      await bench.settle();
    },
  };
}

/** What a driver may read only, and writes. */
function readOnlyCase(register: CommonRegister): PciCase {
  const { name, width } = register;
  return {
    id: `pci/read-only/${name}`,
    clause: '4.1.4.3',
    level: 'MUST',
    title: `has ${name} as before where a driver writes to it`,
    isHostile: true,
    run: async (bench, pci) => {
      await bench.start();
      if (!pci.has(register)) bench.skip(`its common configuration has no ${name}`);
      const read = (): number => (pci.write(COMMON.deviceFeatureSelect, 1), pci.readOf(0, register));
      const before = read();
      for (const value of [0, 2 ** (8 * width) - 1, before ^ 1]) {
        pci.write(register, value);
        bench.equal(`${name} after a write of ${value}`, read(), before);
      }
    },
  };
}

/** The register of queue 0, while a queue is selected that the device does not have. */
function otherQueueCase(register: CommonRegister): PciCase {
  return {
    id: `pci/no-queue/write-${register.name}`,
    clause: '4.1.4.3',
    level: 'MUST',
    title: `keeps ${register.name} of its queues where it is written for a queue that is none`,
    isHostile: true,
    run: async (bench, pci) => {
      await bench.start({ isHeld: true });
      if (!pci.has(register)) bench.skip(`its common configuration has no ${register.name}`);
      const before = queueImage(pci);
      pci.writeOf(pci.read(COMMON.numQueues), register, register.name === COMMON.queueEnable.name ? 1 : 2);
      bench.equal('the registers of queue 0', queueImage(pci), before);
      bench.go();
      await bench.serve(bench.layOut(0));
    },
  };
}

/** All registers of queue 0, as text. */
function queueImage(pci: PciBench): string {
  return [COMMON.queueSize, COMMON.queueVector, COMMON.queueEnable, ...AREA_REGISTERS]
    .map((register) => `${register.name} ${pci.readOf(0, register)}`)
    .join(', ');
}

/** Accesses that a driver may not make: widths, values, registers that are read only, queues that are none. */
export const PCI_ACCESS_CASES: readonly PciCase[] = [
  ...WRONG_WIDTHS.flatMap((wrong) => [widthCase(wrong, 'read'), widthCase(wrong, 'write')]),
  ...(['driver', 'live'] as const).flatMap((state) =>
    COMMON_REGISTERS.flatMap((register) =>
      wrongValues(register, state).map((value) => valueCase(register, value, state)),
    ),
  ),
  ...COMMON_REGISTERS.filter(({ isWritable }) => !isWritable).map(readOnlyCase),
  ...[COMMON.queueSize, COMMON.queueVector, COMMON.queueEnable, ...AREA_REGISTERS].map(otherQueueCase),
];
