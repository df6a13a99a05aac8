import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, parse, resolve } from 'node:path';
import { displayPath, issueAt, type Place, type ProfileIssue } from './profile-issue.ts';
import { errorCode } from './unknown-value.ts';
import { mergeProfiles } from './merge-profiles.ts';
import { parseYaml, type ParsedSource } from './parse-yaml.ts';
import type { SourceLocation } from './profile-issue.ts';
import type { LocatedSource } from './profile-source.ts';
import { readObject } from './read-object.ts';
import type { MapNode, SourceNode } from './source-node.ts';
import { closest } from './suggestion.ts';
const MAX_FILE_BYTES = 1024 * 1024;
/** Profiles in one chain of `extends`. */
const MAX_CHAIN = 16;

/** A profile with its bases merged in, before anything in it was checked. */
export interface ProfileSources {
  /** `undefined` where there is nothing to check. */
  readonly root: MapNode | undefined;
  readonly issues: readonly ProfileIssue[];
}

/** Reads a profile and the profiles it extends. What is wrong with them is in the result. */
export async function readSources(source: LocatedSource): Promise<ProfileSources> {
  const { file } = source;
  if (source.kind === 'object') return await readChain(readObject(file, source.value), [file]);
  const text = source.kind === 'text' ? checkText(source.text) : await readText(file);
  if (text.content !== undefined) return await readChain(parseYaml(file, text.content), [file]);
  const place: Place = { location: { file, line: 1, column: 1 }, text: '' };
  return { root: undefined, issues: [issueAt(place, [], text.problem, text)] };
}

async function readChain({ root, issues }: ParsedSource, chain: readonly string[]): Promise<ProfileSources> {
  const reference = root?.entries.get('extends')?.value;
  if (root === undefined || reference === undefined) return { root, issues };
  const base = await readBase(reference, chain);
  const entries = new Map(root.entries);
  entries.delete('extends');
  const child: MapNode = { ...root, entries };
  const merged = base.root === undefined ? child : mergeProfiles(base.root, child);
  return { root: merged, issues: [...issues, ...base.issues] };
}

async function readBase(reference: SourceNode, chain: readonly string[]): Promise<ProfileSources> {
  const reject = (message: string, suggestion?: string): ProfileSources => ({
    root: undefined,
    issues: [issueAt(reference, ['extends'], message, { code: 'ERR_PROFILE_EXTENDS', suggestion })],
  });
  if (reference.kind !== 'scalar' || typeof reference.value !== 'string' || reference.value === '') {
    return reject('must be the path of a profile');
  }
  const file = resolveBeside(reference.location, reference.value);
  const links = [...chain, file];
  const printed = links.map((link) => displayPath(link)).join(' -> ');
  if (chain.some((link) => resolve(link) === resolve(file)))
    return reject(`the profiles extend each other: ${printed}`);
  if (links.length > MAX_CHAIN) return reject(`more than ${MAX_CHAIN} profiles extend each other: ${printed}`);
  const text = await readText(file);
  if (text.content === undefined) return reject(`${displayPath(file)} ${text.problem}`, text.suggestion);
  return await readChain(parseYaml(file, text.content), links);
}

/** A path as it stands in a file, from that file's folder on. */
export function resolveBeside(location: SourceLocation, path: string): string {
  return isAbsolute(path) ? path : join(dirname(location.file), path);
}

type FileText =
  | { readonly content: string }
  | {
      readonly content: undefined;
      readonly problem: string;
      readonly code: string;
      readonly suggestion?: string | undefined;
    };

const TOO_LARGE: FileText = { content: undefined, problem: 'is larger than 1 MiB', code: 'ERR_PROFILE_INVALID' };

function checkText(content: string): FileText {
  if (Buffer.byteLength(content) <= MAX_FILE_BYTES) return { content };
  return TOO_LARGE;
}

async function readText(file: string): Promise<FileText> {
  let bytes: Uint8Array;
  try {
    // Looked at before it is opened: opening a pipe would wait for its writer.
    const status = await stat(file);
    if (!status.isFile()) return { content: undefined, problem: 'is not a file', code: 'ERR_PROFILE_NOT_FOUND' };
    if (status.size > MAX_FILE_BYTES) return TOO_LARGE;
    bytes = await readFile(file);
  } catch (error) {
    const code = errorCode(error);
    const isText = file.includes('\n') && (code === 'ENOENT' || code === 'ENAMETOOLONG');
    const problem = isText ? 'is no file; text is given as { text }' : unreadable(code);
    return { content: undefined, problem, code: 'ERR_PROFILE_NOT_FOUND', suggestion: await similarFile(file) };
  }
  try {
    return { content: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { content: undefined, problem: 'is not UTF-8 text', code: 'ERR_PROFILE_SYNTAX' };
  }
}

function unreadable(code: string | undefined): string {
  return code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`;
}

async function similarFile(file: string): Promise<string | undefined> {
  const { dir, name } = parse(file);
  const names = await readdir(dir || '.').catch((): string[] => []);
  // Of names that all end alike the ending would count as likeness.
  const stems = names.filter((other) => /\.ya?ml$/.test(other)).map((other) => parse(other));
  const similar = closest(
    name,
    stems.map((stem) => stem.name),
  );
  const found = stems.find((stem) => stem.name === similar);
  return found && displayPath(join(dir, found.base));
}
