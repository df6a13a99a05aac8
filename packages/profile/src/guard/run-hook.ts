import { isRecord } from '../source/unknown-value.ts';
import { awaitPlugin, PLUGIN_TIMEOUT_MS } from './await-plugin.ts';
import type { PluginKind } from '../plugin/plugin-use.ts';
import type { PluginUse } from '../schema/profile.ts';
import { hookError } from './thrown-by-plugin.ts';

/**
 * Runs code of a plugin, which has to settle in `timeoutMs`, or to show a sign of life: `quietMs` is how long it did
 * not. Throws what {@link hookError} makes of what the code
 * throws.
 */
export async function runHook<T>(
  kind: PluginKind,
  use: PluginUse,
  hook: string,
  body: () => T | PromiseLike<T>,
  timeoutMs: number = PLUGIN_TIMEOUT_MS,
  quietMs?: () => number,
): Promise<T> {
  try {
    return await awaitPlugin(body(), timeoutMs, quietMs);
  } catch (error) {
    throw hookError(kind, use, hook, error);
  }
}

/** As {@link runHook}, for what has to return at once. */
export function runHookSync<T>(kind: PluginKind, use: PluginUse, hook: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw hookError(kind, use, hook, error);
  }
}

/**
 * Ends what a plugin started and gave in a form that cannot be used, as far as it has a `dispose`. Never throws: what
 * is wrong with the object says more than an error of ending it.
 */
export async function disposeHalf(kind: PluginKind, use: PluginUse, half: unknown): Promise<void> {
  try {
    const dispose = isRecord(half) ? half['dispose'] : undefined;
    if (typeof dispose === 'function') await runHook(kind, use, 'dispose', () => dispose.call(half));
  } catch {
    // The object was given up anyway.
  }
}
