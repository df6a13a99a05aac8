import { dirname } from 'node:path';
import {
  codedErrorOf,
  DEVICE_ADDRESSING,
  GUEST_MEMORY,
  MACHINE,
  MACHINE_REQUEST,
  openContainer,
  PLATFORM,
  type BootedMachine,
  type CodedError,
  type DependencyContainer,
  type InjectionToken,
  type MachineRequest,
  type Platform,
} from '@virtio-platform/core';
import {
  checkBootedFacilities,
  checkPlugins,
  type CheckedPlugin,
  type CheckedPlugins,
} from './plugin/check-plugins.ts';
import { neededFacilities } from './plugin/needed-facilities.ts';
import { LocatedPluginError } from './plugin/plugin-error.ts';
import { abortable } from './guard/abortable.ts';
import { BOOT_TIMEOUT_MS } from './guard/await-plugin.ts';
import { blameOthers } from './guard/blame-plugin.ts';
import { checkBooted, checkMachine } from './guard/checked-machine.ts';
import { guardHardware } from './guard/guarded-hardware.ts';
import { GuardedPlatform } from './guard/guarded-platform.ts';
import { disposeHalf, runHook, runHookSync } from './guard/run-hook.ts';
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
  /** Behind checks: what it throws and gives wrongly has a code. */
  readonly platform: Platform;
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
  /** Watches the device's end of each queue: see {@link MachineRequest.watchDeviceQueue}. */
  readonly watchDeviceQueue?: MachineRequest['watchDeviceQueue'];
  /** Is told what the machine sees of its device: see {@link MachineRequest.recorder}. */
  readonly machineRecorder?: MachineRequest['recorder'];
  /**
   * Ends the composition once it is aborted: `composeRun` then gives back what there is and rejects with the reason of
   * the signal. A machine that goes on booting for more than {@link ABORT_GRACE_MS} is disposed when it has booted.
   */
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds for a step of a plugin to end by itself once it is no longer wanted. */
export const ABORT_GRACE_MS = 5000;

/**
 * The only composition root: has the device type check what its settings name, loads the two plugins that a profile
 * names, checks their options, and puts platform and machine together in a container of their own. Throws coded errors
 * that name the plugin and the place in the profile; then nothing is left running.
 */
export async function composeRun(profile: Profile, options: CompositionOptions = {}): Promise<ComposedRun> {
  const { pluginTimeoutMs: timeoutMs, signal } = options;
  signal?.throwIfAborted();
  const plugins = await abortable(findPlugins(profile, options), signal);
  const bindings = openContainer();
  let machine: BootedMachine | undefined;
  let platform: Platform | undefined;
  let disposal: Promise<readonly CodedError[]> | undefined;
  const dispose = (): Promise<readonly CodedError[]> =>
    (disposal ??= disposeRun(profile, options, platform, machine, bindings));
  try {
    machine = await bootUnlessAborted(bootMachine(bindings, plugins, profile, options), signal);
    signal?.throwIfAborted();
    platform = await abortable(openPlatform(bindings, plugins, profile, machine, timeoutMs), signal, ABORT_GRACE_MS);
    signal?.throwIfAborted();
  } catch (error) {
    await dispose();
    // What an aborted step threw follows from that.
    signal?.throwIfAborted();
    throw error;
  }
  const platformName = plugins.platform.plugin.name;
  const machineName = plugins.machine.plugin.name;
  return { profile, platformName, machineName, machine, platform, dispose };
}

/** Starts nothing: checks the settings of the device, both plugins, and what the machine needs of this computer. */
async function findPlugins(profile: Profile, options: ResolutionOptions): Promise<CheckedPlugins> {
  const { pluginTimeoutMs: timeoutMs } = options;
  const { use, type, settings } = profile.device;
  // Here for every machine: only the embedded one has the device half, which would find the same.
  if (type.check !== undefined) await runHook('device', use, 'check', () => type.check!(settings), timeoutMs);
  const plugins = await checkPlugins(profile, options);
  checkMisbehavior(profile, plugins);
  const missing = await askMachine(plugins.machine, timeoutMs);
  if (missing.length > 0) throw new MachineMissingError(profile.machine, missing);
  return plugins;
}

/** Throws {@link LocatedPluginError} where the device is another program's, which misbehaves as it likes. */
function checkMisbehavior({ device }: Profile, { machine: { use, plugin } }: CheckedPlugins): void {
  if (device.misbehaves === undefined || plugin.provides === 'simulated') return;
  throw new LocatedPluginError('machine', use, {
    code: 'ERR_PLUGIN_FACILITY',
    message: `the device of machine ${plugin.name} is another program's, and device.misbehaves is for ours`,
    hint: 'use @virtio-platform/machine-simulated, or serve the device: `virtio-platform serve`',
  });
}

async function bootUnlessAborted(
  booting: Promise<BootedMachine>,
  signal: AbortSignal | undefined,
): Promise<BootedMachine> {
  try {
    return await abortable(booting, signal, ABORT_GRACE_MS);
  } catch (error) {
    if (signal?.aborted === true) void disposeLate(booting);
    throw error;
  }
}

/** Disposes a machine that has booted although it is no longer wanted. */
async function disposeLate(booting: Promise<BootedMachine>): Promise<void> {
  try {
    const machine = await booting;
    await machine.dispose();
  } catch {
    // The caller has the reason why it was given up.
  }
}

async function bootMachine(
  bindings: DependencyContainer,
  { platform, machine }: CheckedPlugins,
  profile: Profile,
  resolution: CompositionOptions,
): Promise<BootedMachine> {
  const { watchDevice, watchDeviceQueue, machineRecorder: recorder, pluginTimeoutMs, signal } = resolution;
  const { use, plugin, options } = machine;
  bindings.registerInstance(MACHINE_REQUEST, {
    ...machineRequest(platform, profile),
    watchDevice,
    watchDeviceQueue,
    recorder,
    signal,
  });
  await runHook('machine', use, 'register', () => plugin.register(bindings, options), pluginTimeoutMs);
  const unbooted = checkMachine(use, await resolveBound('machine', use, bindings, MACHINE));
  const boot = async (): Promise<BootedMachine> => {
    try {
      return await unbooted.boot();
    } catch (thrown) {
      throw blameOthers(thrown, profile, resolution);
    }
  };
  const booted = await runHook('machine', use, 'boot', boot, pluginTimeoutMs ?? BOOT_TIMEOUT_MS);
  return await checkBooted(use, booted);
}

async function openPlatform(
  bindings: DependencyContainer,
  { platform, machine }: CheckedPlugins,
  profile: Profile,
  booted: BootedMachine,
  timeoutMs: number | undefined,
): Promise<Platform> {
  const { use, plugin, options } = platform;
  checkBootedFacilities(platform, machine.plugin, booted.facilities);
  bindings.registerInstance(GUEST_MEMORY, booted.memory);
  bindings.registerInstance(DEVICE_ADDRESSING, profile.device.addressing);
  for (const [token, facility] of booted.facilities) bindings.registerInstance(token, facility);
  await runHook('platform', use, 'register', () => plugin.register(bindings, options), timeoutMs);
  const bound: unknown = await resolveBound('platform', use, bindings, PLATFORM);
  try {
    return new GuardedPlatform(use, bound);
  } catch (error) {
    await disposeHalf('platform', use, bound);
    throw error;
  }
}

function machineRequest(platform: CheckedPlugin<'platform'>, profile: Profile): MachineRequest {
  const { use, plugin, options } = platform;
  const { type, module, interface: deviceInterface, offers, misbehaves, addressing, settings } = profile.device;
  return {
    memory: profile.memory,
    device: {
      type,
      module,
      interface: deviceInterface,
      offers,
      settings,
      driverInterface: profile.driver.interface,
      driverPrivilege: profile.driver.privilege,
      experimental: profile.policy.experimental ? profile.policy.bits : undefined,
      misbehaves,
      addressing,
    },
    needs: neededFacilities(platform),
    simulate:
      plugin.simulate === undefined
        ? undefined
        : (memory) =>
            guardHardware(
              use,
              runHookSync('platform', use, 'simulate', () => plugin.simulate!(memory, options)),
            ),
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
    const hint = `call container.register(${kind.toUpperCase()}, { useFactory }) in \`register\``;
    throw new LocatedPluginError(kind, use, { code, message, hint });
  }
  return await runHook(kind, use, 'constructor', () => bindings.resolve(token));
}

/** The time for a machine to end what it started. */
const DISPOSE_TIMEOUT_MS = 30_000;

/** Ends a run, also one that was put together only in part. The machine ends also where the platform throws. */
async function disposeRun(
  profile: Profile,
  resolution: ResolutionOptions,
  platform: Platform | undefined,
  machine: BootedMachine | undefined,
  bindings: DependencyContainer,
): Promise<readonly CodedError[]> {
  const errors: CodedError[] = [];
  const disposeMachine = async (): Promise<void> => {
    try {
      await machine?.dispose();
    } catch (thrown) {
      throw blameOthers(thrown, profile, resolution);
    }
  };
  const step = async (kind: PluginKind, use: PluginUse, body: () => void | Promise<void>): Promise<void> => {
    try {
      await runHook(kind, use, 'dispose', body, DISPOSE_TIMEOUT_MS);
    } catch (error) {
      errors.push(codedErrorOf(error));
    }
  };
  if (platform !== undefined) await step('platform', profile.platform, () => platform.dispose());
  if (machine !== undefined) await step('machine', profile.machine, disposeMachine);
  // Not `bindings.dispose()`: it would dispose a second time what it constructed, over memory that is gone.
  bindings.reset();
  return errors;
}
