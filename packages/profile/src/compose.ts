import { dirname } from 'node:path';
import {
  GUEST_MEMORY,
  MACHINE,
  MACHINE_REQUEST,
  PLATFORM,
  type BootedMachine,
  type MachineRequest,
  type Platform,
} from '@virtio-platform/core';
import { container, type DependencyContainer, type InjectionToken } from 'tsyringe';
import {
  checkBootedFacilities,
  checkPlugins,
  type CheckedPlugin,
  type CheckedPlugins,
} from './plugin/check-plugins.ts';
import { LocatedPluginError, runHook, runHookSync } from './plugin/plugin-error.ts';
import { MachineMissingError, askMachine } from './plugin/missing-requirements.ts';
import type { PluginKind } from './plugin/plugin-use.ts';
import type { PluginUse, Profile } from './schema/profile.ts';
import type { ResolutionOptions } from './plugin/resolve-plugin.ts';
/**
 * A run put together: a booted machine and the platform over it, with plain fields. No container is needed any more.
 */
export interface ComposedRun {
  readonly profile: Profile;
  /** Names as reports give them. */
  readonly platformName: string;
  readonly machineName: string;
  readonly machine: BootedMachine;
  readonly platform: Platform;
  /**
   * Disposes the platform, then the machine, then empties the container. Never throws; a second call waits for the
   * first.
   */
  dispose(): Promise<void>;
}

/** What a composition may be given beside the profile. */
export interface CompositionOptions extends ResolutionOptions {
  /** Where a machine lets somebody look at what its device does: see {@link MachineRequest.watchDevice}. */
  readonly watchDevice?: MachineRequest['watchDevice'];
}

/**
 * The only composition root: loads the two plugins a profile names, checks their options, and puts platform and machine
 * together in a container of their own. Throws coded errors that name the plugin and the place in the profile; then
 * nothing is left running.
 */
export async function composeRun(profile: Profile, options: CompositionOptions = {}): Promise<ComposedRun> {
  const plugins = await checkPlugins(profile, options);
  const missing = await askMachine(plugins.machine);
  if (missing.length > 0) throw new MachineMissingError(profile.machine, missing);

  const bindings = container.createChildContainer();
  let machine: BootedMachine | undefined;
  let platform: Platform | undefined;
  let disposal: Promise<void> | undefined;
  const dispose = (): Promise<void> => (disposal ??= disposeRun(platform, machine, bindings));
  try {
    machine = await bootMachine(bindings, plugins, profile, options.watchDevice);
    platform = await openPlatform(bindings, plugins, machine);
  } catch (error) {
    await dispose();
    throw error;
  }
  const platformName = plugins.platform.plugin.name;
  const machineName = plugins.machine.plugin.name;
  return { profile, platformName, machineName, machine, platform, dispose };
}

async function bootMachine(
  bindings: DependencyContainer,
  { platform, machine }: CheckedPlugins,
  profile: Profile,
  watchDevice: MachineRequest['watchDevice'],
): Promise<BootedMachine> {
  const { use, plugin, options } = machine;
  bindings.registerInstance(MACHINE_REQUEST, { ...machineRequest(platform, profile), watchDevice });
  await runHook('machine', use, 'register', () => plugin.register(bindings, options));
  const unbooted = await resolveBound('machine', use, bindings, MACHINE);
  return await runHook('machine', use, 'boot', () => unbooted.boot());
}

async function openPlatform(
  bindings: DependencyContainer,
  { platform, machine }: CheckedPlugins,
  booted: BootedMachine,
): Promise<Platform> {
  const { use, plugin, options } = platform;
  checkBootedFacilities(plugin, use, machine.plugin, booted.facilities);
  bindings.registerInstance(GUEST_MEMORY, booted.memory);
  for (const [token, facility] of booted.facilities) bindings.registerInstance(token, facility);
  await runHook('platform', use, 'register', () => plugin.register(bindings, options));
  return await resolveBound('platform', use, bindings, PLATFORM);
}

function machineRequest({ use, plugin, options }: CheckedPlugin<'platform'>, profile: Profile): MachineRequest {
  const { type, interface: deviceInterface, offers, ...settings } = profile.device;
  return {
    memory: profile.memory,
    device: {
      type,
      interface: deviceInterface,
      driverInterface: profile.driver.interface,
      offers,
      driverPrivilege: profile.driver.privilege,
      experimental: profile.policy.experimental ? profile.policy.bits : undefined,
      settings,
    },
    needs: plugin.needs,
    simulate:
      plugin.simulate === undefined
        ? undefined
        : (memory) => runHookSync('platform', use, 'simulate', () => plugin.simulate!(memory, options)),
    baseDirectory: dirname(profile.file),
  };
}

async function resolveBound<T>(
  kind: PluginKind,
  use: PluginUse,
  bindings: DependencyContainer,
  token: InjectionToken<T>,
): Promise<T> {
  if (!bindings.isRegistered(token)) {
    const code = 'ERR_PLUGIN_MISSING_BINDING';
    const message = `its \`register\` did not bind ${kind.toUpperCase()}`;
    const hint = `call container.registerSingleton(${kind.toUpperCase()}, ...) in \`register\``;
    throw new LocatedPluginError(kind, use, { code, message, hint });
  }
  return await runHook(kind, use, 'constructor', () => bindings.resolve(token));
}

/** Ends a run, also one that was put together only in part. */
async function disposeRun(
  platform: Platform | undefined,
  machine: BootedMachine | undefined,
  bindings: DependencyContainer,
): Promise<void> {
  try {
    platform?.dispose();
  } catch {
    // The machine has to end all the same, and with it goes whatever the platform holds of it.
  }
  try {
    await machine?.dispose();
  } catch {
    // Contract: it never throws. A plugin that does must not hide how the run ended.
  }
  // Not `bindings.dispose()`: it would dispose a second time what it constructed, over memory that is gone.
  bindings.reset();
}
