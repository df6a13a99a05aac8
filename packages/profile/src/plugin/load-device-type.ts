import type { DeviceTypePlugin } from '@virtio-platform/core';
import { issueAt, type ProfileIssue } from '../source/profile-issue.ts';
import type { MapNode } from '../source/source-node.ts';
import { closest } from '../source/suggestion.ts';
import type { PluginUse } from '../schema/profile.ts';
import { installedPlugins, type InstalledPlugin } from './installed-plugins.ts';
import { loadPluginModule } from './load-plugin.ts';
import { guardDeviceType } from '../guard/guarded-device-type.ts';
import { LocatedPluginError } from './plugin-error.ts';
import { pluginUse } from './plugin-use.ts';
import { resolutionBases, shortNameOf, type ResolutionOptions } from './resolve-plugin.ts';

/** The device type that a profile names, or why it cannot be loaded. */
export interface LoadedDeviceType {
  /** How the profile names it; `undefined` where it names none. */
  readonly use: PluginUse | undefined;
  /** Behind checks. */
  readonly type: DeviceTypePlugin | undefined;
  /** The URL of its module. */
  readonly module: string;
  /** What is wrong with the text of the profile. */
  readonly issues: readonly ProfileIssue[];
  /** What is wrong with the plugin. */
  readonly error: LocatedPluginError | undefined;
}

/** Loads the device types of the runs of one profile, each once. */
export class DeviceTypeLoader {
  readonly #options: ResolutionOptions;
  readonly #loaded = new Map<string, Promise<LoadedDeviceType>>();
  #installed: Promise<readonly InstalledPlugin[]> | undefined;

  constructor(options: ResolutionOptions) {
    this.#options = options;
  }

  /** Loads the type of one run. Throws what is no coded error. */
  async load(root: MapNode): Promise<LoadedDeviceType> {
    const use = pluginUse(root, 'device');
    if (use === undefined) return { use, type: undefined, module: '', issues: [], error: undefined };
    const { file, line, column, key: ofObject } = use.location;
    const key = JSON.stringify([use.use, use.isShort, file, line, column, ofObject]);
    const known = this.#loaded.get(key) ?? this.#load(use);
    this.#loaded.set(key, known);
    return { ...(await known), use };
  }

  /** The types that are installed beside the profile `file`, with the command, or here. */
  async installed(file: string): Promise<readonly DeviceTypePlugin[]> {
    const packages = await this.#packages(file);
    return packages.flatMap(({ plugin }) => (plugin?.kind === 'device' ? [plugin] : []));
  }

  async #packages(file: string): Promise<readonly InstalledPlugin[]> {
    this.#installed ??= installedPlugins(resolutionBases(file, this.#options));
    return await this.#installed;
  }

  async #load(use: PluginUse): Promise<LoadedDeviceType> {
    try {
      const { plugin, module } = await loadPluginModule(use, 'device', this.#options);
      return { use, type: guardDeviceType(use, plugin), module, issues: [], error: undefined };
    } catch (error) {
      if (!(error instanceof LocatedPluginError)) throw error;
      const isUnknown = use.isShort === true && error.code === 'ERR_PLUGIN_NOT_FOUND';
      if (!isUnknown) return { use, type: undefined, module: '', issues: [], error };
      return { use, type: undefined, module: '', issues: [await this.#unknownType(use)], error: undefined };
    }
  }

  /** What is said of a short name that no installed package has. */
  async #unknownType(use: PluginUse): Promise<ProfileIssue> {
    const packages = await this.#packages(use.location.file);
    const types = packages.filter(({ kind }) => kind === 'device');
    const place = { location: use.location, text: use.use };
    const own = types.find(({ plugin }) => plugin?.name === use.use);
    if (own !== undefined) {
      const message = `\`${use.use}\` is the device type of ${own.use}, which has no short name`;
      return issueAt(place, ['device', 'type'], `${message}: write \`use: "${own.use}"\` in place of \`type\``);
    }
    const names = types.flatMap((type) => shortNameOf(type.use) ?? []);
    const choice = names.length === 0 ? 'an installed device type' : `one of ${names.join(', ')}`;
    const suggestion = closest(use.use, names);
    return issueAt(place, ['device', 'type'], `must be ${choice}, not \`${use.use}\``, { suggestion });
  }
}
