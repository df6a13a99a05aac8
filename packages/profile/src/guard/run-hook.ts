import { awaitPlugin, PLUGIN_TIMEOUT_MS } from './await-plugin.ts';
import type { PluginKind } from '../plugin/plugin-use.ts';
import type { PluginUse } from '../schema/profile.ts';
import { hookError } from './thrown-by-plugin.ts';

/**
 * Runs code of a plugin, which has to settle in `timeoutMs`. Throws what {@link hookError} makes of what the code
 * throws.
 */
export async function runHook<T>(
  kind: PluginKind,
  use: PluginUse,
  hook: string,
  body: () => T | PromiseLike<T>,
  timeoutMs: number = PLUGIN_TIMEOUT_MS,
): Promise<T> {
  try {
    return await awaitPlugin(body(), timeoutMs);
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
