import { COMMON_BUGS, crashOf } from './common-bugs.ts';
import { COMMAND_BUGS, CONFIG_SPACE_BUGS } from './config-space-bugs.ts';
import { INTERRUPT_BUGS } from './interrupt-bugs.ts';
import { LEGACY_BUGS, legacyCrashOf } from './legacy-bugs.ts';
import { NOTIFY_BUGS } from './notify-bugs.ts';
import type { PciBug, PciHardware } from './pci-hardware.ts';
import type { BrokenFunction } from './pci-harness.ts';
import { wayBugOf } from './way-bugs.ts';

const BUGS: ReadonlyMap<string, PciBug> = new Map([
  ...CONFIG_SPACE_BUGS,
  ...COMMAND_BUGS,
  ...COMMON_BUGS,
  ...NOTIFY_BUGS,
  ...INTERRUPT_BUGS,
  ...LEGACY_BUGS,
]);

/** The bug that a case has to find; `undefined` where there is none. */
export function bugOf(id: string, hardware: () => PciHardware): BrokenFunction | undefined {
  const pci = BUGS.get(id) ?? crashOf(id) ?? legacyCrashOf(id);
  return pci === undefined ? wayBugOf(id, hardware) : { pci };
}
