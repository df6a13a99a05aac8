import { CodedError, type MissingRequirement } from '@virtio-platform/core';
import { checkPlugin, type CheckedPlugin } from './check-plugins.ts';
import { runHook } from '../guard/run-hook.ts';
import { checkMissing } from '../guard/checked-answer.ts';
import type { Profile, PluginUse } from '../schema/profile.ts';
import type { ResolutionOptions } from './resolve-plugin.ts';
import { displayLocation } from '../source/profile-issue.ts';
import { displayUse } from './plugin-use.ts';
/** Lists what the machine of a profile needs that is not installed here. Throws as loading it does. */
export async function missingRequirements(
  profile: Profile,
  options: ResolutionOptions = {},
): Promise<readonly MissingRequirement[]> {
  return await askMachine(await checkPlugin('machine', profile.machine, options), options.pluginTimeoutMs);
}

/** Asks a machine plugin what is missing. */
export async function askMachine(
  { use, plugin, options }: CheckedPlugin<'machine'>,
  timeoutMs?: number,
): Promise<readonly MissingRequirement[]> {
  // It may depend on the options, such as the path of a program; a plugin that does not care takes no parameter.
  const missing: (options: unknown) => Promise<readonly MissingRequirement[]> = plugin.missing.bind(plugin);
  return checkMissing(use, await runHook('machine', use, 'missing', () => missing(options), timeoutMs));
}

/** A machine that needs something that is not installed here: `ERR_MACHINE_MISSING`. */
export class MachineMissingError extends CodedError {
  readonly missing: readonly MissingRequirement[];

  constructor(use: PluginUse, missing: readonly MissingRequirement[]) {
    const list = missing.map(({ what }) => what).join('; ');
    const message = `${displayUse(use.use)}: missing here: ${list} (${displayLocation(use.location)})`;
    super('ERR_MACHINE_MISSING', message, { hint: missing.map(({ fix }) => fix).join('; ') });
    this.missing = missing;
  }
}
