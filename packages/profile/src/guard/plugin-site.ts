import type { SourceLocation } from '../source/profile-issue.ts';
import { displayUse, type PluginKind } from '../plugin/plugin-use.ts';
import type { PluginUse } from '../schema/profile.ts';

/** Where an error comes from: the plugin, the member of its contract, and the place that names it in the profile. */
export interface PluginSite {
  readonly kind: PluginKind;
  /** As the profile names it: its package, or its path from the current folder. */
  readonly plugin: string;
  /** The member of the contract, such as `boot`; `undefined` where that is not known. */
  readonly hook: string | undefined;
  readonly location: SourceLocation;
}

const sites = new WeakMap<object, PluginSite>();

/** Makes the site of a plugin's member. */
export function siteOf(kind: PluginKind, use: PluginUse, hook: string | undefined): PluginSite {
  return { kind, plugin: displayUse(use.use), hook, location: use.location };
}

/** Notes where an error came out of a plugin, unless that is known, and returns the error. */
export function noteSite<E extends Error>(error: E, site: PluginSite): E {
  if (!sites.has(error)) sites.set(error, site);
  return error;
}

/** Where an error came out of a plugin; `undefined` for every other error. */
export function pluginSiteOf(error: Error): PluginSite | undefined {
  return sites.get(error);
}
