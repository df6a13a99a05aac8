import type { MachinePlugin, PlatformPlugin } from '@virtio-platform/core';
import {
  isFullAddressing,
  type AddressingProblem,
  type DeviceAddressing,
  type MemoryRange,
} from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { checkAddressingProblem, checkMemoryRange } from '../guard/checked-answer.ts';
import { runHookSync } from '../guard/run-hook.ts';
import type { PluginUse } from '../schema/profile.ts';
import { issueAt } from '../source/profile-issue.ts';
import { LocatedPluginError } from './plugin-error.ts';
import type { ChosenPlugin } from './plugin-use.ts';

/** The device of a profile, as far as its addresses go. */
export interface AddressingDevice {
  readonly use: PluginUse;
  readonly addressing: DeviceAddressing;
}

/**
 * Throws {@link LocatedPluginError} `ERR_DMA_MASK` where the platform cannot keep the addresses of a device with a
 * narrow mask below it, or the low bits of its buffers.
 */
export function checkAddressing(
  { use, plugin, options }: ChosenPlugin<PlatformPlugin>,
  machine: ChosenPlugin<MachinePlugin>,
  device: AddressingDevice | undefined,
): void {
  const { memory } = machine.use;
  if (device === undefined || memory === undefined || isFullAddressing(device.addressing)) return;
  const { addressing } = device;
  const range = memoryRange(machine, memory);
  const ask = (): unknown =>
    plugin.addressingProblem === undefined
      ? unasked(plugin.name, addressing)
      : plugin.addressingProblem(addressing, range, options);
  const problem = checkAddressingProblem(use, runHookSync('platform', use, 'addressingProblem', ask));
  if (problem === undefined) return;
  const { key, text } = writtenAs(problem.about, addressing);
  const place = { location: device.use.locate([key], 'value'), text };
  const { message: why, hint } = problem;
  const message = `${why}: ${hint}`;
  const issue = issueAt(place, ['device', key], message, { code: 'ERR_DMA_MASK' });
  throw new LocatedPluginError('platform', use, { code: 'ERR_DMA_MASK', message: why, hint }, [issue]);
}

/** The key of the profile that a problem is about, and its value. */
function writtenAs(
  about: AddressingProblem['about'],
  { addressBits, minAlignMask }: DeviceAddressing,
): { key: string; text: string } {
  if (about === 'addressBits') return { key: 'dmaBits', text: String(addressBits) };
  return { key: 'minAlignMask', text: `0x${minAlignMask.toString(16)}` };
}

/** The problem of a platform that does not ask what a device takes; it names what would be passed over. */
function unasked(platform: string, { addressBits, minAlignMask }: DeviceAddressing): AddressingProblem {
  const keys = [...(addressBits < 64 ? ['device.dmaBits'] : []), ...(minAlignMask > 0 ? ['device.minAlignMask'] : [])];
  const names = keys.join(' and ');
  return {
    about: addressBits < 64 ? 'addressBits' : 'minAlignMask',
    message: `platform ${platform} takes no account of ${names}`,
    hint: `leave out ${names}, or use another platform`,
  };
}

function memoryRange({ use, plugin, options }: ChosenPlugin<MachinePlugin>, memory: number): MemoryRange {
  if (plugin.memoryRange === undefined) return { first: PAGE_SIZE, end: memory };
  const range = runHookSync('machine', use, 'memoryRange', () => plugin.memoryRange!(memory, options));
  return checkMemoryRange(use, range);
}
