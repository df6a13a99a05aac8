import type { DeviceAddressing } from '@virtio-platform/core/dma';
import type { PlatformPlugin } from '@virtio-platform/core';
import { describeContract, runCheck, type ContractCheck } from '../contract-check.ts';
import { checkDmaMapping, DMA_MAPPING_CHECKS, type DmaMappingSubject } from '../describe-dma-mapping.ts';
import { HARDWARE_CHECKS } from './platform/hardware-checks.ts';
import { NEGOTIATION_CHECKS } from './platform/negotiation-checks.ts';
import {
  MAPPING_CAPACITY,
  openSubject,
  promisedAccess,
  type PlatformPluginSubject,
} from './platform/platform-subject.ts';
import { RING_CHECKS } from './platform/ring-checks.ts';
import { THREAD_CHECKS } from './platform/thread-checks.ts';
import { pluginChecks } from './plugin/plugin-checks.ts';

export { promisedAccess, type PlatformPluginSubject, type PromisedAccess } from './platform/platform-subject.ts';

/** The promises of a platform plugin, one by one. */
export const PLATFORM_PLUGIN_CHECKS: readonly ContractCheck<PlatformPluginSubject>[] = [
  ...pluginChecks('platform'),
  ...HARDWARE_CHECKS,
  ...NEGOTIATION_CHECKS,
  ...RING_CHECKS,
  ...THREAD_CHECKS,
];

/**
 * Tries a platform plugin and its mapping against the whole contract, with the given options and its simulated
 * hardware. What unmap and release have to take from the device follows from the platform's traits; a check that does
 * not apply is skipped with the reason.
 */
export function describePlatformPlugin<Options>(
  plugin: PlatformPlugin<Options>,
  settings: {
    readonly options?: unknown;
    readonly memory?: number;
    readonly addressing?: DeviceAddressing;
  } = {},
): void {
  const subject: PlatformPluginSubject = {
    plugin,
    options: settings.options ?? {},
    memory: settings.memory ?? 4 * 2 ** 20,
    addressing: settings.addressing,
  };
  const device = settings.addressing === undefined ? '' : ` and a device of ${settings.addressing.addressBits} bits`;
  const name = `${plugin.name} with ${JSON.stringify(subject.options)}${device} as a platform plugin`;
  describeContract(name, PLATFORM_PLUGIN_CHECKS, (check) => runCheck(check, subject));
  describeContract(`what ${name} maps with as a DmaMapping`, DMA_MAPPING_CHECKS, async (check) => {
    await checkDmaMapping(check, await platformMapping(subject));
  });
}

/** The mapping of a queue of a platform, the device behind it, and what the traits promise of the device's access. */
export async function platformMapping(subject: PlatformPluginSubject): Promise<DmaMappingSubject> {
  const { platform, memory, space, openMapping, dispose } = await openSubject(subject);
  const mapping = openMapping(0, MAPPING_CAPACITY);
  return { memory, mapping, device: space, ...promisedAccess(platform.traits), dispose };
}
