import { isRecord } from '../source/unknown-value.ts';
import { awaitPlugin, PLUGIN_TIMEOUT_MS } from './await-plugin.ts';
import type { PluginKind } from '../plugin/plugin-use.ts';
import type { PluginUse } from '../schema/profile.ts';
import { hookError } from './thrown-by-plugin.ts';

/** A call of a plugin's code that has ended. */
export interface HookCall {
  readonly kind: PluginKind;
  readonly hook: string;
  /** Milliseconds. */
  readonly duration: number;
  readonly hasThrown: boolean;
  /** Whether it returned at once, as what a plugin is asked in passing does. */
  readonly isSync: boolean;
}

/** By plugin of one profile. */
const observers = new WeakMap<PluginUse, (call: HookCall) => void>();

/**
 * Has `observer` told of the calls of a plugin of one profile, which ends those to an earlier observer. Returns how to
 * end that.
 */
export function observeHooks(use: PluginUse, observer: (call: HookCall) => void): () => void {
  observers.set(use, observer);
  return () => {
    if (observers.get(use) === observer) observers.delete(use);
  };
}

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
  const startedAt = performance.now();
  let hasThrown = false;
  try {
    return await awaitPlugin(body(), timeoutMs, quietMs);
  } catch (error) {
    hasThrown = true;
    throw hookError(kind, use, hook, error);
  } finally {
    observers.get(use)?.({ kind, hook, duration: performance.now() - startedAt, hasThrown, isSync: false });
  }
}

/** As {@link runHook}, for what has to return at once. */
export function runHookSync<T>(kind: PluginKind, use: PluginUse, hook: string, body: () => T): T {
  const observer = observers.get(use);
  if (observer === undefined) return callSync(kind, use, hook, body);
  const startedAt = performance.now();
  let hasThrown = true;
  try {
    const value = callSync(kind, use, hook, body);
    hasThrown = false;
    return value;
  } finally {
    observer({ kind, hook, duration: performance.now() - startedAt, hasThrown, isSync: true });
  }
}

function callSync<T>(kind: PluginKind, use: PluginUse, hook: string, body: () => T): T {
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
