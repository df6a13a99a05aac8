import type { GuestMemory } from '@virtio-platform/core/memory';
import type { IntelIommuOptions } from '../intel-iommu-options.ts';
import { GlobalCommands } from '../unit/global-commands.ts';
import { INTERRUPT_REMAPPING_ENABLE } from '../unit/interrupt-format.ts';
import { readCapabilities } from '../unit/vtd-capabilities.ts';
import type { VtdFacility } from '../unit/vtd-facility.ts';
import { QUEUED_INVALIDATION_ENABLE, TRANSLATION_ENABLE } from '../unit/vtd-registers.ts';
import { FormerTables } from './former-tables.ts';
import { readInterruptEntries } from './read-interrupt-entries.ts';

/** A unit that another kernel left running, after this one took it over. */
export interface TakenUnit {
  /** Tables that stay in use until a driver attaches its device; `undefined` where translation was stopped. */
  readonly former: FormerTables | undefined;
  /** Words of the entries by which interrupts stay remapped; `undefined` where that is stopped, or was off. */
  readonly interrupts: Uint32Array | undefined;
  /** What was done, for people. */
  readonly summary: string;
}

/**
 * Takes over a unit, before anything is written to memory that its tables may be in (Linux `init_dmars`). After a kexec
 * translation, interrupt remapping and the queue are stopped. After a crash the former two go on, and their tables are
 * copied, each whether or not the other's can be; what cannot go on is stopped all the same. Throws {@link DmaError}
 * `ERR_IOMMU_UNSUPPORTED` where there is no unit, and `ERR_IOMMU_UNRESPONSIVE`.
 */
export function takeOverUnit(
  facility: VtdFacility,
  memory: GuestMemory,
  { takeover, mode, interruptRemapping }: Pick<IntelIommuOptions, 'takeover' | 'mode' | 'interruptRemapping'>,
): TakenUnit {
  // Throws where there is no unit.
  readCapabilities(facility);
  const commands = new GlobalCommands(facility);
  const goesOn = takeover === 'kdump' && interruptRemapping;
  const interrupts = goesOn ? readInterruptEntries(memory, facility) : undefined;
  const done = interrupts === undefined ? 'was on and was stopped' : 'goes on with a copy of its table';
  const ofInterrupts = commands.isOn(INTERRUPT_REMAPPING_ENABLE) ? `; interrupt remapping ${done}` : '';
  const stop = (why: string): TakenUnit => {
    commands.command('disable translation', TRANSLATION_ENABLE, false);
    if (interrupts === undefined) commands.command('disable interrupt remapping', INTERRUPT_REMAPPING_ENABLE, false);
    commands.command('disable queued invalidation', QUEUED_INVALIDATION_ENABLE, false);
    return { former: undefined, interrupts, summary: `after ${takeover}: ${why}${ofInterrupts}` };
  };
  if (!commands.isOn(TRANSLATION_ENABLE)) return stop('translation was off');
  if (takeover === 'kexec') return stop('translation was on and was stopped; nothing of its tables is used');
  const former = FormerTables.read(memory, facility);
  if (former === undefined) return stop('its root table is not in memory, so translation was stopped');
  // The mode can only be changed while translation is off.
  if (former.isScalable !== (mode === 'scalable'))
    return stop(`its tables are of ${former.isScalable ? 'scalable' : 'legacy'} mode, so translation was stopped`);
  const count = former.contexts.length;
  const tables = count === 1 ? 'table' : 'tables';
  const what = `translation goes on with a copy of its root and ${count} context ${tables}`;
  return { former, interrupts, summary: `after kdump: ${what}${ofInterrupts}` };
}
