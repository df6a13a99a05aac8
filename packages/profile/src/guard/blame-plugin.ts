import { existsSync, realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  codedErrorOf,
  describeValue,
  hostErrorOf,
  isCodedError,
  stackFrames,
  type CodedError,
} from '@virtio-platform/core';
import { readManifest } from '../plugin/installed-packages.ts';
import { LocatedPluginError } from '../plugin/plugin-error.ts';
import { displayUse, type PluginKind } from '../plugin/plugin-use.ts';
import { resolvePlugin, specifiersOf, type ResolutionOptions } from '../plugin/resolve-plugin.ts';
import type { PluginUse, Profile } from '../schema/profile.ts';
import { contractError, hookError, isContractError, isOfHouse, mayThrow } from './thrown-by-plugin.ts';

/** The plugins of a run, by kind: the sections of its profile. */
type UsedPlugins = Readonly<Record<PluginKind, PluginUse>>;

/** The sections of a profile that name plugins. */
export type NamesPlugins = Pick<Profile, 'platform' | 'machine'> & { readonly device: { readonly use: PluginUse } };

const KINDS: readonly PluginKind[] = ['platform', 'machine', 'device'];
/** The plugins that a machine calls inside the device. */
const IN_DEVICE: readonly PluginKind[] = ['platform', 'device'];

/** The plugins that a profile names. */
function usedPlugins({ platform, machine, device }: NamesPlugins): UsedPlugins {
  return { platform, machine, device: device.use };
}

/** A plugin with the files that are its own. */
interface PluginCode {
  readonly kind: PluginKind;
  readonly use: PluginUse;
  readonly file: string;
  /** Ends with a separator. */
  readonly folder: string;
}

/**
 * The coded error of what was thrown while a run was under way, where no guard stood between: the ring calls `map` and
 * `unmap` of a platform, and a device its address space, without one. What has no code is the error of the plugin in
 * whose files the stack is first, and `ERR_INTERNAL` where it is in none. `isInside` says that it was thrown inside
 * the device: there the machine calls the other plugins, and a call of it that is refused is theirs. Never throws.
 * Cold.
 */
export function blamePlugin(
  thrown: unknown,
  profile: NamesPlugins,
  options: ResolutionOptions = {},
  isInside = false,
): CodedError {
  const uses = usedPlugins(profile);
  if (isOfHouse(thrown)) return thrown;
  if (isContractError(thrown)) {
    const { party, hook, what } = thrown;
    return contractError(party, uses[party], hook, what, thrown);
  }
  const isCoded = isCodedError(thrown);
  if (isCoded && mayThrow(thrown.code)) return thrown;
  const ofHost = isCoded ? undefined : hostErrorOf(thrown);
  if (ofHost !== undefined) return ofHost;
  const frames = stackFrames(thrown);
  const others = isInside ? findPlugin(frames, uses, options, IN_DEVICE) : undefined;
  const found = others ?? findPlugin(frames, uses, options);
  if (found !== undefined) return hookError(found.kind, found.use, found.hook, thrown);
  if (frames.length === 0 && !isCoded) return thrownWithoutStack(thrown, uses);
  return codedErrorOf(thrown);
}

/** The run whose plugin threw something beside the work that was going on. */
export interface StrayOwner {
  /** Its place in the list of runs. */
  readonly at: number;
  readonly error: CodedError;
}

/**
 * Finds the last of `runs` that something thrown in a callback is of: a timer that a plugin left throws while another
 * run is under way. That is the run whose plugin itself is in the stack, before one that has files beside it there;
 * `undefined` where no run has a plugin there. Never throws. Cold.
 */
export function strayOwner(
  thrown: unknown,
  runs: readonly NamesPlugins[],
  options: ResolutionOptions,
): StrayOwner | undefined {
  const frames = stackFrames(thrown);
  const files = frames.map(fileOf);
  const isOf = (run: NamesPlugins): boolean =>
    KINDS.some((kind) => files.includes(pluginCode(kind, usedPlugins(run)[kind], options)?.file ?? ''));
  const exact = runs.findLastIndex(isOf);
  const at = exact >= 0 ? exact : runs.findLastIndex((run) => findPlugin(frames, usedPlugins(run), options));
  return at < 0 ? undefined : { at, error: blamePlugin(thrown, runs[at]!, options) };
}

/**
 * What `boot` or `dispose` of a machine threw: the coded error of the platform or of the device type where the stack is
 * first in files of that, since a machine opens the hardware of the one and the device half of the other; otherwise as
 * it is.
 */
export function blameOthers(thrown: unknown, profile: NamesPlugins, options: ResolutionOptions): unknown {
  if (isCodedError(thrown)) return isContractError(thrown) ? blamePlugin(thrown, profile, options) : thrown;
  const found = findPlugin(stackFrames(thrown), usedPlugins(profile), options);
  const isOther = found !== undefined && found.kind !== 'machine';
  return isOther ? hookError(found.kind, found.use, found.hook, thrown) : thrown;
}

/** The code of the house throws errors only, so that a value without a stack comes from one of the plugins. */
function thrownWithoutStack(thrown: unknown, { platform, machine, device }: UsedPlugins): CodedError {
  const others = `${displayUse(machine.use)} or ${displayUse(device.use)}`;
  return new LocatedPluginError('platform', platform, {
    code: 'ERR_PLUGIN_HOOK',
    message: `it, ${others} threw ${describeValue(thrown)}, which is no Error and has no stack`,
    hint: 'this is a mistake in one of the three plugins, which cannot be told apart: throw an Error',
    cause: thrown,
  });
}

/** The plugin in whose files a stack is first, and the member of it that the house called. */
function findPlugin(
  frames: readonly string[],
  uses: UsedPlugins,
  options: ResolutionOptions,
  kinds: readonly PluginKind[] = KINDS,
): { readonly kind: PluginKind; readonly use: PluginUse; readonly hook: string | undefined } | undefined {
  const plugins = kinds.flatMap((kind) => pluginCode(kind, uses[kind], options) ?? []);
  const owners = frames.map((frame) => ownerOf(fileOf(frame), plugins));
  const first = owners.findIndex((owner) => owner !== undefined);
  const owner = owners[first];
  if (owner === undefined) return undefined;
  let last = first;
  while (owners[last + 1] === owner) last++;
  return { kind: owner.kind, use: owner.use, hook: functionOf(frames[last]!) };
}

function ownerOf(file: string | undefined, plugins: readonly PluginCode[]): PluginCode | undefined {
  if (file === undefined) return undefined;
  const exact = plugins.find((plugin) => plugin.file === file);
  if (exact !== undefined) return exact;
  const inFolder = plugins.filter(({ folder }) => file.startsWith(folder) && !isDependency(file, folder));
  return inFolder.toSorted((a, b) => b.folder.length - a.folder.length)[0];
}

function isDependency(file: string, folder: string): boolean {
  return file.slice(folder.length - 1).includes(`${sep}node_modules${sep}`);
}

/** The module of a plugin, and the folder of its package; of a lone file, the folder it is in. */
function pluginCode(kind: PluginKind, use: PluginUse, options: ResolutionOptions): PluginCode | undefined {
  try {
    const { url } = resolvePlugin(specifiersOf(use), use.location.file, options);
    if (url === undefined) return undefined;
    const file = realpathSync(fileURLToPath(url));
    return { kind, use, file, folder: join(packageFolder(file, isAbsolute(use.use)) ?? dirname(file), sep) };
  } catch {
    // What cannot be found any more has no files of its own.
    return undefined;
  }
}

/** The package that a file belongs to. By a path, only a package of a plugin: its project may hold anything else. */
function packageFolder(file: string, isPath: boolean): string | undefined {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (!existsSync(manifest)) continue;
    const { keywords } = readManifest(manifest);
    const isPlugin = Array.isArray(keywords) && keywords.includes('virtio-platform-plugin');
    return isPlugin || !isPath ? folder : undefined;
  }
  return undefined;
}

/** The file of a stack frame: `at map (file:///x.js:1:2)`. */
function fileOf(frame: string): string | undefined {
  const [, place] = /^at (?:.*\()?(.*?)(?:\?[^/]*)?:\d+:\d+\)?$/.exec(frame) ?? [];
  if (place === undefined) return undefined;
  const path = place.replace(/^async /, '');
  if (path.startsWith('file:')) return fileURLToPath(path);
  return isAbsolute(path) ? path : undefined;
}

/** The function of a stack frame; `undefined` for one without a name, as a callback is. */
function functionOf(frame: string): string | undefined {
  const [, text] = /^at (?:async )?(.*) \(/.exec(frame) ?? [];
  if (text === undefined) return undefined;
  const name =
    / \[as (.*)\]$/.exec(text)?.[1] ??
    text
      .replace(/^new .*/, 'constructor')
      .split(/[. ]/)
      .at(-1)!;
  return /^[\p{L}_$#][\p{L}\p{N}_$]*$/u.test(name) && !NODE_CALLERS.has(name) ? name : undefined;
}

/** Names that Node gives to a callback that it calls. */
const NODE_CALLERS: ReadonlySet<string> = new Set(['_onTimeout', '_onImmediate', 'anonymous']);
