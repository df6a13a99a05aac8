import { dirname } from 'node:path';
import {
  codedErrorOf,
  GUEST_MEMORY,
  MACHINE,
  MACHINE_REQUEST,
  PLATFORM,
  type BootedMachine,
  type CodedError,
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
  /** Opens a mapping of the platform: what that throws without a code is `ERR_PLUGIN_HOOK`. */
  openMapping: Platform['openMapping'];
  /**
   * Disposes the platform, then the machine, then empties the container. Returns what the plugins threw, each as
   * `ERR_PLUGIN_HOOK`. Never throws; a second call returns the result of the first.
   */
  dispose(): Promise<readonly CodedError[]>;
}

/** What a composition may be given beside the profile. */
export interface CompositionOptions extends ResolutionOptions {
  /** Watches what the device of the machine does: see {@link MachineRequest.watchDevice}. */
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
  let disposal: Promise<readonly CodedError[]> | undefined;
  const dispose = (): Promise<readonly CodedError[]> => (disposal ??= disposeRun(profile, platform, machine, bindings));
  try {
    machine = await bootMachine(bindings, plugins, profile, options.watchDevice);
    platform = await openPlatform(bindings, plugins, machine);
  } catch (error) {
    await dispose();
    throw error;
  }
  const platformName = plugins.platform.plugin.name;
  const machineName = plugins.machine.plugin.name;
  const opened = platform;
  const openMapping: Platform['openMapping'] = (path, mapping) =>
    runHookSync('platform', profile.platform, 'openMapping', () => opened.openMapping(path, mapping));
  return { profile, platformName, machineName, machine, platform, openMapping, dispose };
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

/** The time for a machine to end what it started. */
const DISPOSE_TIMEOUT_MS = 30_000;

/** Ends a run, also one that was put together only in part. The machine ends also where the platform throws. */
async function disposeRun(
  { platform: platformUse, machine: machineUse }: Profile,
  platform: Platform | undefined,
  machine: BootedMachine | undefined,
  bindings: DependencyContainer,
): Promise<readonly CodedError[]> {
  const errors: CodedError[] = [];
  const step = async (kind: PluginKind, use: PluginUse, body: () => void | Promise<void>): Promise<void> => {
    try {
      await runHook(kind, use, 'dispose', () => withinDeadline(body()));
    } catch (error) {
      errors.push(codedErrorOf(error));
    }
  };
  if (platform !== undefined) await step('platform', platformUse, () => platform.dispose());
  if (machine !== undefined) await step('machine', machineUse, () => machine.dispose());
  // Not `bindings.dispose()`: it would dispose a second time what it constructed, over memory that is gone.
  bindings.reset();
  return errors;
}

async function withinDeadline(disposal: void | Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`did not end within ${DISPOSE_TIMEOUT_MS} ms`)), DISPOSE_TIMEOUT_MS);
  });
  try {
    await Promise.race([disposal, late]);
  } finally {
    clearTimeout(timer);
  }
}
