import { COMMON } from '../../pci/common-registers.ts';
import { DEVICE_STATES, enterState, STATE_WORDS, type DeviceState } from '../../pci/device-state.ts';
import type { PciCase } from '../../pci/pci-case.ts';

/** Values of the status: one bit, those of the steps, several at once, and bits that no driver sets. */
const VALUES = [0x01, 0x02, 0x03, 0x04, 0x07, 0x08, 0x0b, 0x0f, 0x10, 0x20, 0x40, 0xff];
/** What a driver may write in a state, and what changes nothing there. */
const LEGAL: Readonly<Record<DeviceState, readonly number[]>> = {
  reset: [0x01],
  acknowledged: [0x01, 0x03],
  driver: [0x03, 0x0b],
  'features-ok': [0x0b, 0x0f],
  live: [0x0f],
  failed: [],
};

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}

/** The status register: every step that is none, and a reset in each state (sections 2.1 and 4.1.4.3.1). */
export const PCI_STATUS_CASES: readonly PciCase[] = [
  ...DEVICE_STATES.map((state): PciCase => ({
    id: `pci/status/reset-when-${state}`,
    clause: '4.1.4.3.1',
    level: 'MUST',
    title: `has a status of 0 after 0 was written to it when it was ${STATE_WORDS[state]}, and serves again`,
    run: async (bench, pci) => {
      await enterState(bench, state);
      pci.write(COMMON.status, 0);
      await bench.until('confirm a reset', () => pci.read(COMMON.status) === 0);
      bench.equal('queue_enable after a reset', pci.readOf(0, COMMON.queueEnable), 0);
      await bench.start();
      await bench.serve(bench.layOut(0));
    },
  })),
  ...DEVICE_STATES.flatMap((state) =>
    VALUES.filter((value) => !LEGAL[state].includes(value)).map((value): PciCase => ({
      id: `pci/status/${state}-${hex(value)}`,
      clause: '2.1.1',
      level: 'MUST',
      title: `survives a status of ${hex(value)} that is written when it is ${STATE_WORDS[state]}`,
      isHostile: true,
      run: async (bench, pci) => {
        await enterState(bench, state);
        pci.write(COMMON.status, value);
        pci.read(COMMON.status);
        await bench.settle();
      },
    })),
  ),
];
