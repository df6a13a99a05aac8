import { messageOf, type MachinePlugin, type PlatformPlugin } from '@virtio-platform/core';
import type { BusKind } from '@virtio-platform/core/features';
import { checkSimulatedAs, checkTransportKind } from '../guard/checked-answer.ts';
import { contractError } from '../guard/thrown-by-plugin.ts';
import { runHookSync } from '../guard/run-hook.ts';
import type { PluginUse } from '../schema/profile.ts';
import { checkOptions } from './check-options.ts';
import { neededFacilities } from './needed-facilities.ts';
import type { ChosenPlugin } from './plugin-use.ts';

/** What is known of a machine that is not started. */
export interface DescribedHardware {
  /** The platform of the profile, whose simulated hardware is as the machine says of its own. */
  readonly platform: PluginUse;
  /** Where the device is; `undefined` where the machine does not say. */
  readonly transport: BusKind | undefined;
}

/**
 * Asks a machine for what its options say of its hardware. Rejects with `ERR_PLUGIN_CONTRACT` for wrong answers, also
 * where the platform does not have such options.
 */
export async function describedHardware(
  platform: ChosenPlugin<PlatformPlugin>,
  { use, plugin, options }: ChosenPlugin<MachinePlugin>,
): Promise<DescribedHardware> {
  const needs = neededFacilities(platform);
  const answer = runHookSync('machine', use, 'simulatedAs', () => plugin.simulatedAs?.(needs, options));
  const described = checkSimulatedAs(use, answer);
  const transport = runHookSync('machine', use, 'transport', () => plugin.transport?.(options));
  const asked = { ...platform.use, options: { ...platform.use.options, ...described } };
  try {
    await checkOptions(platform.plugin, asked);
  } catch (error) {
    throw contractError('machine', use, 'simulatedAs', `gave what the platform refuses: ${messageOf(error)}`, error);
  }
  return {
    platform: asked,
    transport: checkTransportKind(use, transport),
  };
}
