import type { PluginUse } from '../schema/profile.ts';
import { isRecord } from '../source/unknown-value.ts';
import type { PluginKind } from '../plugin/plugin-use.ts';
import { runHook } from './run-hook.ts';

/**
 * Ends what a plugin started and gave in a form that cannot be used, as far as it has a `dispose`. Never throws: what is
 * wrong with the object says more than an error of ending it.
 */
export async function disposeHalf(kind: PluginKind, use: PluginUse, half: unknown): Promise<void> {
  try {
    const dispose = isRecord(half) ? half['dispose'] : undefined;
    if (typeof dispose === 'function') await runHook(kind, use, 'dispose', () => dispose.call(half));
  } catch {
    // The object was given up anyway.
  }
}
