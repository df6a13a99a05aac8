import {
  isCodedError,
  facilityName,
  type FacilityToken,
  type MachinePlugin,
  type PlatformPlugin,
} from '@virtio-platform/core';
import type { FeatureSet } from '@virtio-platform/core/features';
import { formatByteSize, memorySizeProblem } from '@virtio-platform/core/memory';
import { checkAddressing, type AddressingDevice } from './check-addressing.ts';
import { checkOptions } from './check-options.ts';
import { checkSimulatedOptions } from './check-simulated-options.ts';
import { checkExec } from './check-exec.ts';
import { checkTransport, type TransportedDevice } from './check-transport.ts';
import { loadPlugin, type PluginsByKind } from './load-plugin.ts';
import { neededFacilities } from './needed-facilities.ts';
import { LocatedPluginError } from './plugin-error.ts';
import { runHook, runHookSync } from '../guard/run-hook.ts';
import { checkMachineProblem, checkPrograms } from '../guard/checked-answer.ts';
import type { PluginKind } from './plugin-use.ts';
import type { DeviceSection, PluginUse, WorkloadSection } from '../schema/profile.ts';
import { ProfileError, issueAt, type ProfileIssue } from '../source/profile-issue.ts';
import { resolutionBases, type ResolutionOptions } from './resolve-plugin.ts';
import { installedPlugins } from './installed-plugins.ts';
/** The kinds of plugins that a container composes. */
export type ComposedKind = Exclude<PluginKind, 'device'>;

/** A plugin that can be used, with options its schema has accepted. */
export interface CheckedPlugin<Kind extends ComposedKind> {
  readonly use: PluginUse;
  readonly plugin: PluginsByKind[Kind];
  readonly options: unknown;
}

/** The two plugins of a profile. */
export interface CheckedPlugins {
  readonly platform: CheckedPlugin<'platform'>;
  readonly machine: CheckedPlugin<'machine'>;
}

/** The plugins that a profile names, as far as it names them. */
export type NamedPlugins = { readonly [Kind in ComposedKind]: PluginUse | undefined };

/**
 * Loads both plugins, checks their options, that the machine has what the platform needs, and that the platform
 * can do what the workload is disrupted with. Throws
 * {@link LocatedPluginError}, or {@link ProfileError} with the issues of both when both are at fault.
 */
export async function checkPlugins(
  uses: {
    readonly platform: PluginUse;
    readonly machine: PluginUse;
    readonly workload?: Pick<WorkloadSection, 'disruptions'>;
    readonly device?: (AddressingDevice & TransportedDevice & Pick<DeviceSection, 'offers'>) | undefined;
  },
  options: ResolutionOptions = {},
): Promise<CheckedPlugins> {
  const [platform, machine] = await Promise.allSettled([
    checkPlugin('platform', uses.platform, options),
    checkPlugin('machine', uses.machine, options),
  ]);
  if (platform.status === 'rejected' && machine.status === 'rejected') {
    throw new ProfileError([
      ...issuesOf('platform', uses.platform, platform.reason),
      ...issuesOf('machine', uses.machine, machine.reason),
    ]);
  }
  if (platform.status === 'rejected') throw platform.reason;
  if (machine.status === 'rejected') throw machine.reason;
  const needs = await checkFacilities(platform.value, machine.value, options);
  checkTransport(platform.value, machine.value, uses.device);
  checkProvided(platform.value, needs, machine.value, uses.device?.offers);
  checkSimulatedOptions(platform.value, machine.value);
  checkExec(platform.value, uses.workload?.disruptions ?? []);
  checkMemory(machine.value, needs);
  checkAddressing(platform.value, machine.value, uses.device);
  return { platform: platform.value, machine: machine.value };
}

/** Finds what is wrong with the plugins of a profile that may itself be incomplete. */
export async function findPluginIssues(
  uses: NamedPlugins,
  options: ResolutionOptions,
): Promise<readonly ProfileIssue[]> {
  const { platform, machine } = uses;
  if (platform !== undefined && machine !== undefined) {
    return await issuesFrom('platform', platform, checkPlugins({ platform, machine }, options));
  }
  if (platform !== undefined) return await issuesFrom('platform', platform, checkPlugin('platform', platform, options));
  if (machine !== undefined) return await issuesFrom('machine', machine, checkPlugin('machine', machine, options));
  return [];
}

/** Loads one plugin and checks its options. Throws {@link LocatedPluginError}. */
export async function checkPlugin<Kind extends ComposedKind>(
  kind: Kind,
  use: PluginUse,
  options: ResolutionOptions,
): Promise<CheckedPlugin<Kind>> {
  const plugin = await loadPlugin(use, kind, options);
  const checked = { use, plugin, options: await checkOptions(plugin, use, options.pluginTimeoutMs) };
  if (options.noPrograms === true && plugin.kind === 'machine') await refusePrograms(plugin, use, checked.options);
  return checked;
}

/** Throws {@link LocatedPluginError} `ERR_PLUGIN_PROGRAM` where the machine may start a program. */
async function refusePrograms(plugin: MachinePlugin, use: PluginUse, options: unknown): Promise<void> {
  const programs = checkPrograms(use, await runHook('machine', use, 'programs', () => plugin.programs?.(options)));
  if (programs?.length === 0) return;
  const what = programs === undefined ? 'does not say which programs it starts' : `starts ${programs.join(', ')}`;
  throw new LocatedPluginError('machine', use, {
    code: 'ERR_PLUGIN_PROGRAM',
    message: `machine ${plugin.name} ${what}, and --no-programs allows none`,
    hint: 'read the machine section of the profile: its programs run as you; then leave the option out',
  });
}

async function issuesFrom(kind: PluginKind, use: PluginUse, check: Promise<unknown>): Promise<readonly ProfileIssue[]> {
  try {
    await check;
    return [];
  } catch (error) {
    return issuesOf(kind, use, error);
  }
}

/** The issues of an error that a plugin ended a check with. Throws what has no code. */
export function issuesOf(kind: PluginKind, use: PluginUse, error: unknown): readonly ProfileIssue[] {
  if (error instanceof LocatedPluginError || error instanceof ProfileError) return error.issues;
  // A schema may throw coded errors of its own.
  if (!isCodedError(error)) throw error;
  return [issueAt({ location: use.location, text: use.use }, [kind, 'use'], error.message, { code: error.code })];
}

/**
 * What the platform asks for. Throws {@link LocatedPluginError} `ERR_PLUGIN_FACILITY` where the machine lacks some of
 * that.
 */
export async function checkFacilities(
  checked: CheckedPlugin<'platform'>,
  machine: CheckedPlugin<'machine'>,
  options: ResolutionOptions,
): Promise<readonly FacilityToken[]> {
  const { use, plugin: platform } = checked;
  const needs = neededFacilities(checked);
  const message = lacking(platform, needs, machine.plugin);
  if (message === undefined) return needs;
  const installed = await installedPlugins(resolutionBases(use.location.file, options));
  const fitting = installed.filter(
    ({ plugin }) => plugin?.kind === 'machine' && lacking(platform, needs, plugin) === undefined,
  );
  const names = fitting.map((plugin) => plugin.use);
  const hint = names.length === 0 ? 'no installed machine has it' : `machine.use can be ${names.join(' or ')}`;
  throw new LocatedPluginError('platform', use, { code: 'ERR_PLUGIN_FACILITY', message, hint });
}

/** Throws {@link LocatedPluginError} `ERR_PLUGIN_FACILITY` where the machine lacks it with these options. */
function checkProvided(
  { use }: CheckedPlugin<'platform'>,
  needs: readonly FacilityToken[],
  machine: CheckedPlugin<'machine'>,
  offers: FeatureSet | undefined,
): void {
  const ofMachine = (): unknown => machine.plugin.facilityProblem?.(needs, machine.options, offers);
  const answer = runHookSync('machine', machine.use, 'facilityProblem', ofMachine);
  const problem = checkMachineProblem(machine.use, 'facilityProblem', answer);
  if (problem === undefined) return;
  throw new LocatedPluginError('platform', use, { code: 'ERR_PLUGIN_FACILITY', ...problem });
}

/**
 * Throws {@link LocatedPluginError} `ERR_MACHINE_MEMORY` where the machine, or this Node, cannot have the memory that
 * the profile asks for.
 */
function checkMemory({ use, plugin, options }: CheckedPlugin<'machine'>, needs: readonly FacilityToken[]): void {
  const { memory } = use;
  if (memory === undefined) return;
  const ofMachine = (): unknown => plugin.memoryProblem?.(memory, options, needs);
  const answer = runHookSync('machine', use, 'memoryProblem', ofMachine);
  const isOwn = plugin.memoryProblem !== undefined;
  const problem = checkMachineProblem(use, 'memoryProblem', answer) ?? (isOwn ? undefined : memorySizeProblem(memory));
  if (problem === undefined) return;
  const message = `${problem.message}: ${problem.hint}`;
  const place = { location: use.locate(['memory'], 'value'), text: formatByteSize(memory) };
  const issue = issueAt(place, ['machine', 'memory'], message, { code: 'ERR_MACHINE_MEMORY' });
  throw new LocatedPluginError('machine', use, { code: 'ERR_MACHINE_MEMORY', ...problem }, [issue]);
}

/** Throws where a machine that has booted does not have what its plugin promised. */
export function checkBootedFacilities(
  checked: CheckedPlugin<'platform'>,
  machine: MachinePlugin,
  booted: ReadonlyMap<FacilityToken, unknown>,
): void {
  const { use, plugin: platform } = checked;
  const absent = neededFacilities(checked).filter((facility) => !booted.has(facility));
  if (absent.length === 0) return;
  const promised = machine.provides === 'simulated' ? 'the simulation of the platform' : `machine ${machine.name}`;
  throw new LocatedPluginError('platform', use, {
    code: 'ERR_PLUGIN_FACILITY',
    message: `platform ${platform.name} asks for ${absent.map(facilityName).join(', ')}, which ${promised} promised and did not bring`,
    hint: 'this is a mistake in the plugin that promised it',
  });
}

function lacking(
  platform: PlatformPlugin,
  needs: readonly FacilityToken[],
  machine: MachinePlugin,
): string | undefined {
  if (machine.provides === 'simulated') {
    if (platform.simulate !== undefined) return undefined;
    return `platform ${platform.name} has no simulated hardware, so it runs only on real machines, and machine ${machine.name} is simulated`;
  }
  const { provides } = machine;
  const absent = needs.filter((facility) => !provides.includes(facility));
  if (absent.length === 0) return undefined;
  const asked = absent.every((facility) => platform.needs.includes(facility))
    ? 'asks for'
    : 'asks with these options for';
  const names = absent.map(facilityName).join(', ');
  return `platform ${platform.name} ${asked} ${names}, which machine ${machine.name} does not provide`;
}
