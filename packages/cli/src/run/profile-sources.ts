import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { closest, ProfileError, type ProfileSource } from '@virtio-platform/profile';
import { shippedByName, shippedNames } from '../shipped-profiles.ts';

/** Text of a profile that is not believed: as much of it as a file may have, and a byte. */
const MAX_BYTES = 1024 * 1024 + 1;

/** What messages call the standard input. */
const STDIN = '<stdin>';

/** Where the text of `-` comes from. */
export type TextInput = AsyncIterable<Uint8Array | string>;

/**
 * The profiles that words of a command line name: `-` for the text of `input`, a path, or the name of a shipped profile
 * or of a folder of them.
 */
export class ProfileWords {
  readonly #cwd: string;
  readonly #input: TextInput | undefined;
  #text: string | undefined;

  constructor(cwd: string, input: TextInput | undefined) {
    this.#cwd = cwd;
    this.#input = input;
  }

  /**
   * What one word names. The standard input is read once, however often it is named. Throws {@link ProfileError}
   * `ERR_PROFILE_NOT_FOUND`, with what was probably meant, for a word that looks like a name and is none.
   */
  async of(word: string): Promise<readonly ProfileSource[]> {
    if (word !== '-') return profilePaths(word, this.#cwd);
    this.#text ??= await readText(this.#input ?? [], this.#cwd);
    return [{ text: this.#text, name: STDIN }];
  }
}

/** What several words name. Throws as {@link ProfileWords.of}. */
export async function profileSources(
  words: readonly string[],
  cwd: string,
  input: TextInput | undefined,
): Promise<ProfileSource[]> {
  const named = new ProfileWords(cwd, input);
  const sources: ProfileSource[] = [];
  for (const word of words) sources.push(...(await named.of(word)));
  return sources;
}

/**
 * The absolute paths of the profiles that one word names: a path, or the name of a shipped profile or of a folder of
 * them. Throws as {@link ProfileWords.of}.
 */
export function profilePaths(word: string, cwd: string): readonly string[] {
  const path = resolve(cwd, word);
  const exists = existsSync(path);
  const isFolder = exists && existsSync(`${path}/.`);
  if (exists && !isFolder) return [path];
  const shipped = shippedByName(word);
  if (shipped.length > 0) return shipped;
  // What has an ending, or says where it is, is a path: loading it says what is wrong with that.
  if (exists || /\.ya?ml$|^[./~]|\n/.test(word)) return [path];
  throw notFound(path, 'is neither a file nor a shipped profile', closest(word, shippedNames()));
}

/**
 * The absolute path of the one profile that a word names. Throws as {@link ProfileWords.of}, and for a folder of
 * shipped profiles, whose profiles it names.
 */
export function oneProfilePath(word: string, cwd: string): string {
  const paths = profilePaths(word, cwd);
  if (paths.length === 1) return paths[0]!;
  const names = paths.map((path) => `${word}/${basename(path, '.yaml')}`);
  throw notFound(resolve(cwd, word), `names ${names.length} profiles, and one is wanted: ${names.join(', ')}`);
}

function notFound(file: string, message: string, suggestion?: string, code = 'ERR_PROFILE_NOT_FOUND'): ProfileError {
  return new ProfileError([{ file, line: 1, column: 1, code, path: '', text: '', message, suggestion }]);
}

async function readText(input: TextInput | readonly never[], cwd: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of input) {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    parts.push(bytes);
    length += bytes.length;
    if (length >= MAX_BYTES) break;
  }
  try {
    return new TextDecoder('utf-8', { fatal: length < MAX_BYTES }).decode(Buffer.concat(parts));
  } catch {
    throw notFound(resolve(cwd, STDIN), 'is not UTF-8 text', undefined, 'ERR_PROFILE_SYNTAX');
  }
}
