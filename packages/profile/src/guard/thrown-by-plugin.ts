import {
  CodedError,
  ContractError,
  describeValue,
  exitCallOf,
  hostErrorOf,
  isCodedError,
  messageOf,
  type ContractParty,
} from '@virtio-platform/core';
import { UnsettledError } from './await-plugin.ts';
import { LocatedPluginError, type PluginProblem } from '../plugin/plugin-error.ts';
import { noteSite, siteOf } from './plugin-site.ts';
import { displayUse, type PluginKind } from '../plugin/plugin-use.ts';
import type { PluginUse } from '../schema/profile.ts';
import { ProfileError } from '../source/profile-issue.ts';

/** Codes that a plugin may throw although they are about plugins. */
const OF_PLUGINS: ReadonlySet<string> = new Set(['ERR_PLUGIN_FACILITY', 'ERR_PLUGIN_OPTIONS']);
/** Codes of which a plugin has none: they are about a profile, another plugin or the house. */
const NOT_OF_PLUGINS = /^ERR_(PROFILE|PLUGIN|INTERNAL)/;

/**
 * The coded error of what a plugin threw in `hook`. What it threw by intention has a code and stays; what the operating
 * system refused is `ERR_SYSCALL` or `ERR_MACHINE_MEMORY`; a step that never settles is `ERR_PLUGIN_TIMEOUT`, an end of
 * the process `ERR_PLUGIN_EXIT`, and everything else `ERR_PLUGIN_HOOK` with the thrown value as cause. Never throws.
 */
export function hookError(kind: PluginKind, use: PluginUse, hook: string | undefined, thrown: unknown): CodedError {
  const site = siteOf(kind, use, hook);
  if (isOfHouse(thrown)) return noteSite(thrown, site);
  if (isContractError(thrown)) return noteSite(contractError(kind, use, thrown.hook, thrown.what, thrown), site);
  if (isCodedError(thrown) && mayThrow(thrown.code)) return noteSite(adopted(thrown), site);
  const ofHost = hostErrorOf(thrown, hook === undefined ? '' : `in \`${hook}\` of ${displayUse(use.use)}`);
  if (ofHost !== undefined) return noteSite(ofHost, site);
  return noteSite(new LocatedPluginError(kind, use, problemOf(hook, thrown)), site);
}

/** The error of a plugin that gave in `hook` what its contract does not allow; `what` follows "its `hook`". */
export function contractError(
  kind: PluginKind,
  use: PluginUse,
  hook: string,
  what: string,
  cause?: unknown,
): LocatedPluginError {
  const error = new LocatedPluginError(kind, use, {
    code: 'ERR_PLUGIN_CONTRACT',
    message: `its \`${hook}\` ${what}`,
    hint: 'this is a mistake in the plugin: its contract says what the member may be or return',
    cause,
  });
  return noteSite(error, siteOf(kind, use, hook));
}

/** Whether an error was made by this package, so that it says all it has to. */
export function isOfHouse(thrown: unknown): thrown is CodedError {
  try {
    return thrown instanceof LocatedPluginError || thrown instanceof ProfileError;
  } catch {
    return false;
  }
}

/** Whether a plugin's error may have this code. */
export function mayThrow(code: string): boolean {
  return OF_PLUGINS.has(code) || !NOT_OF_PLUGINS.test(code);
}

/** A {@link ContractError} of any installed copy of the core, by its form. */
export function isContractError(thrown: unknown): thrown is ContractError {
  if (!isCodedError(thrown) || thrown.code !== 'ERR_PLUGIN_CONTRACT') return false;
  return 'party' in thrown && isParty(thrown.party) && 'what' in thrown && 'hook' in thrown;
}

function isParty(party: unknown): party is ContractParty {
  return party === 'platform' || party === 'machine' || party === 'device';
}

/** An error with a code of a foreign class says again what it says now. */
function adopted(error: CodedError): CodedError {
  if (error instanceof CodedError) return error;
  const { code, message, hint } = error as { code: CodedError['code']; message: string; hint: string | undefined };
  return new CodedError(code, message, { hint, cause: error });
}

function problemOf(hook: string | undefined, cause: unknown): PluginProblem {
  const member = hook === undefined ? 'its code' : `its \`${hook}\``;
  if (cause instanceof UnsettledError) {
    return {
      code: 'ERR_PLUGIN_TIMEOUT',
      message: `${member} ${cause.message}`,
      hint: 'this is a mistake in the plugin: a promise of it stays pending; --plugin-timeout gives it more time',
      cause,
    };
  }
  const call = exitCallOf(cause);
  if (call !== undefined) {
    return {
      code: 'ERR_PLUGIN_EXIT',
      message: `${member} called ${call}, which would end the command`,
      hint: 'a plugin throws where it cannot go on; the cause has the stack',
      cause,
    };
  }
  return {
    code: 'ERR_PLUGIN_HOOK',
    message: `${member} threw${nounOf(cause)}: ${messageOf(cause)}`,
    hint: 'this is a mistake in the plugin; the cause has the stack, and `run --stack` prints it',
    cause,
  };
}

/** What was thrown, where it is no plain error. */
function nounOf(thrown: unknown): string {
  if (isCodedError(thrown)) return ` an error with the code ${thrown.code}, which is not a plugin's`;
  return isError(thrown) ? '' : ` ${describeValue(thrown)}, which is no Error`;
}

function isError(thrown: unknown): boolean {
  try {
    return thrown instanceof Error;
  } catch {
    return false;
  }
}
