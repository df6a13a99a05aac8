import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { CodedError } from '@virtio-platform/core';
import { closest, installedPlugins, profileJsonSchema } from '@virtio-platform/profile';
import { explainedCodes, type CodeExplanation } from '@virtio-platform/runner';
import { shippedByName, shippedNames } from '../shipped-profiles.ts';
import { pluginBases } from '../plugin-bases.ts';
import { profileKeys, type ProfileKey } from './profile-key.ts';

/** A word that `explain` knows and that is no profile: a code, or a key, which several plugins can have. */
export type ExplainedTerm =
  | { readonly kind: 'code'; readonly code: CodeExplanation }
  | { readonly kind: 'key'; readonly keys: readonly ProfileKey[] };

const CODE = /^(?:ERR_|DMA-|DRV-)/i;
const FILE = /[/\\]|\.(?:ya?ml|json)$/i;

/**
 * Finds what a word means that is no profile: `ERR_…`, `DMA-…`, `DRV-…`, or a key such as `platform.window.kind`.
 * `undefined` for a word that is a profile: a file, what has the form of one, `-`, or a shipped name. Throws
 * `ERR_EXPLAIN_UNKNOWN`, with what was probably meant.
 */
export async function explainedTerm(word: string, cwd: string): Promise<ExplainedTerm | undefined> {
  if (CODE.test(word)) return { kind: 'code', code: codeOf(word) };
  if (word === '-' || FILE.test(word) || existsSync(resolve(cwd, word))) return undefined;
  // Before the keys, which take a schema of all plugins: no shipped name is a key.
  if (shippedByName(word).length > 0) return undefined;
  const keys = profileKeys(profileJsonSchema(await installedPlugins(pluginBases(cwd))));
  const found = keys.filter(({ path }) => path === word);
  if (found.length > 0) return { kind: 'key', keys: found };
  const paths = keys.map(({ path }) => path);
  const meant = paths.find((path) => path.endsWith(`.${word}`)) ?? closest(word, [...paths, ...shippedNames()]);
  throw unknown(`${word} is no profile, no key of a profile and no code`, meant);
}

function codeOf(word: string): CodeExplanation {
  const codes = explainedCodes();
  const found = codes.find(({ code }) => code === word.toUpperCase());
  if (found !== undefined) return found;
  throw unknown(
    `there is no code ${word}`,
    closest(
      word,
      codes.map(({ code }) => code),
    ),
  );
}

/** What `explain` takes, for a word that is close to nothing. */
const KNOWN =
  'give a profile, a code such as ERR_QUEUE_BROKEN, DMA-OVERLAP or DRV-CHAIN-LOOP, or a key such as platform.window.kind; ' +
  'a feature is explained for a profile, `explain PROFILE --feature ACCESS_PLATFORM`';

/** The error for a word that `explain` does not know; `known` says what it would, where nothing is close. */
export function unknown(message: string, meant: string | undefined, known: string = KNOWN): CodedError {
  const hint = meant === undefined ? known : `did you mean ${meant}?`;
  return new CodedError('ERR_EXPLAIN_UNKNOWN', message, { hint });
}
