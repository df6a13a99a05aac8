import type { CodedError } from '@virtio-platform/core';
import { blamePlugin, pluginSiteOf, type NamesPlugins, type ResolutionOptions } from '@virtio-platform/profile';

/** The run whose plugin threw something beside the work that was going on. */
export interface StrayOwner {
  /** Its place in the list of runs. */
  readonly at: number;
  readonly error: CodedError;
}

/**
 * Finds the last of `runs` that has a plugin in whose files the stack of `thrown` is: a timer that a plugin left throws
 * while another run is under way. `undefined` where none has.
 */
export function strayOwner(
  thrown: unknown,
  runs: readonly (NamesPlugins | undefined)[],
  plugins: ResolutionOptions,
): StrayOwner | undefined {
  for (let at = runs.length - 1; at >= 0; at--) {
    const run = runs[at];
    const error = run && blamePlugin(thrown, run, plugins);
    if (error !== undefined && pluginSiteOf(error) !== undefined) return { at, error };
  }
  return undefined;
}
