import { facilityName, type FacilityToken, type MachinePlugin, type PlatformPlugin } from '@virtio-platform/core';
import { installedPlugins } from './installed-plugins.ts';
import { LocatedPluginError } from './located-plugin-error.ts';
import type { PluginUse } from './profile.ts';
import { resolutionBases, type ResolutionOptions } from './resolve-plugin.ts';

/** Throws {@link LocatedPluginError} `ERR_PLUGIN_FACILITY` where the machine lacks what the platform asks for. */
export async function checkFacilities(
  platform: PlatformPlugin,
  use: PluginUse,
  machine: MachinePlugin,
  options: ResolutionOptions,
): Promise<void> {
  const message = lacking(platform, machine);
  if (message === undefined) return;
  const installed = await installedPlugins(resolutionBases(use.location.file, options));
  const fitting = installed.filter(
    ({ plugin }) => plugin?.kind === 'machine' && lacking(platform, plugin) === undefined,
  );
  const names = fitting.map((plugin) => plugin.use);
  const hint = names.length === 0 ? 'no installed machine has it' : `machine.use can be ${names.join(' or ')}`;
  throw new LocatedPluginError('platform', use, { code: 'ERR_PLUGIN_FACILITY', message, hint });
}

/** Throws where a machine that has booted does not have what its plugin promised. */
export function checkBootedFacilities(
  platform: PlatformPlugin,
  use: PluginUse,
  machine: MachinePlugin,
  booted: ReadonlyMap<FacilityToken, unknown>,
): void {
  const absent = platform.needs.filter((facility) => !booted.has(facility));
  if (absent.length === 0) return;
  const promised = machine.provides === 'simulated' ? 'the simulation of the platform' : `machine ${machine.name}`;
  throw new LocatedPluginError('platform', use, {
    code: 'ERR_PLUGIN_FACILITY',
    message: `platform ${platform.name} asks for ${absent.map(facilityName).join(', ')}, which ${promised} promised and did not bring`,
    hint: 'this is a mistake in the plugin that promised it',
  });
}

function lacking(platform: PlatformPlugin, machine: MachinePlugin): string | undefined {
  if (machine.provides === 'simulated') {
    if (platform.simulate !== undefined) return undefined;
    return `platform ${platform.name} has no simulated hardware, so it runs only on real machines, and machine ${machine.name} is simulated`;
  }
  const { provides } = machine;
  const absent = platform.needs.filter((facility) => !provides.includes(facility));
  if (absent.length === 0) return undefined;
  return `platform ${platform.name} asks for ${absent.map(facilityName).join(', ')}, which machine ${machine.name} does not provide`;
}
