import type { MachinePlugin, PlatformPlugin } from '@virtio-platform/core';
import type { BusKind } from '@virtio-platform/core/features';
import { checkSimulatedAs, checkTransportKind } from '../guard/checked-answer.ts';
import { runHookSync } from '../guard/run-hook.ts';
import type { PluginUse } from '../schema/profile.ts';
import type { ChosenPlugin } from './plugin-use.ts';

/** What is known of a machine that is not started. */
export interface DescribedHardware {
  /** The platform of the profile, whose simulated hardware is as the machine says of its own. */
  readonly platform: PluginUse;
  /** Where the device is; `undefined` where the machine does not say. */
  readonly transport: BusKind | undefined;
}

/** Asks a machine for what its options say of its hardware. Throws `ERR_PLUGIN_CONTRACT` for wrong answers. */
export function describedHardware(
  platform: ChosenPlugin<PlatformPlugin>,
  { use, plugin, options }: ChosenPlugin<MachinePlugin>,
): DescribedHardware {
  const { needs } = platform.plugin;
  const described = runHookSync('machine', use, 'simulatedAs', () => plugin.simulatedAs?.(needs, options));
  const transport = runHookSync('machine', use, 'transport', () => plugin.transport?.(options));
  return {
    platform: { ...platform.use, options: { ...platform.use.options, ...checkSimulatedAs(use, described) } },
    transport: checkTransportKind(use, transport),
  };
}
