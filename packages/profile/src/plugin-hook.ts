import { isCodedError } from '@virtio-platform/core';
import { errorMessage } from './error-code.ts';
import { LocatedPluginError } from './located-plugin-error.ts';
import type { PluginKind } from './plugin-use.ts';
import type { PluginUse } from './profile.ts';

/** Runs code of a plugin. What it throws by intention has a code and passes; anything else becomes `ERR_PLUGIN_HOOK`. */
export async function runHook<T>(
  kind: PluginKind,
  use: PluginUse,
  hook: string,
  body: () => T | Promise<T>,
): Promise<T> {
  try {
    return await body();
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

function hookError(kind: PluginKind, use: PluginUse, hook: string, cause: unknown): unknown {
  if (isCodedError(cause)) return cause;
  return new LocatedPluginError(kind, use, {
    code: 'ERR_PLUGIN_HOOK',
    message: `its \`${hook}\` threw: ${errorMessage(cause)}`,
    hint: 'this is a mistake in the plugin; the cause has the stack',
    cause,
  });
}
