import { basename, join } from 'node:path';
import { wrapNode } from '../matrix/wrap-node.ts';
import { mergeProfiles } from './merge-profiles.ts';
import { parseYaml } from './parse-yaml.ts';
import { issueAt, type Place, type ProfileIssue } from './profile-issue.ts';
import type { ProfileSources } from './read-sources.ts';
import type { MapNode, SourceNode } from './source-node.ts';

/** Keys of one dotted path, as in a `matrix`. */
const MAX_STEPS = 16;
/** A key that the value stands under while it is read as YAML. */
const KEY = 'v: ';

/** A value that is laid over a profile. */
interface SetValue {
  readonly steps: readonly string[];
  readonly key: Place;
  readonly value: SourceNode;
}

/** What messages call the texts of `set`. */
const SET_NAME = '--set';

/** Where the texts of `set` stand in messages: line 1 is the first of them. Paths start at `baseDirectory`. */
function setFile(baseDirectory: string): string {
  return join(baseDirectory, SET_NAME);
}

/** Whether a value was set, and is not of a profile. */
export function isSetPlace({ location }: Place): boolean {
  return basename(location.file) === SET_NAME;
}

/**
 * Lays values over a profile, as one that extends it would: `path=value`, the value as YAML. A `matrix` no longer
 * varies what is set. A text that is no path with a value is an issue of the result.
 */
export function setValues(sources: ProfileSources, texts: readonly string[], baseDirectory: string): ProfileSources {
  if (sources.root === undefined) return sources;
  let root = sources.root;
  const issues: ProfileIssue[] = [...sources.issues];
  for (const [at, text] of texts.entries()) {
    const read = readSetValue(setFile(baseDirectory), text, at + 1);
    if ('issues' in read) issues.push(...read.issues);
    else root = withoutAxes(mergeProfiles(root, wrapNode(root, read.steps, read.key, read.value)), read.steps);
  }
  return { root, issues };
}

/** Reads one text; `line` is its number. */
function readSetValue(
  file: string,
  text: string,
  line: number,
): SetValue | { readonly issues: readonly ProfileIssue[] } {
  const end = text.indexOf('=');
  const path = text.slice(0, Math.max(end, 0)).trim();
  const key: Place = { location: { file, line, column: 1 }, text: path };
  const reject = (message: string): { readonly issues: readonly ProfileIssue[] } => ({
    issues: [issueAt({ ...key, text }, path === '' ? [] : [path], message)],
  });
  if (end < 0) return reject(`\`${text}\` is no \`path=value\`, such as queue.layout=packed`);
  const steps = path.split('.');
  if (steps.some((step) => step === '' || step === '__proto__') || steps.length > MAX_STEPS)
    return reject('must be the path of a value, such as queue.layout');
  if (steps[0] === 'extends') return reject('is read before anything is set; give the base itself as the profile');
  const { root, issues } = parseYaml(file, KEY + text.slice(end + 1));
  const entry = root?.entries.get(KEY[0]!);
  if (issues.length > 0 || root?.entries.size !== 1 || entry === undefined) {
    const [first] = issues;
    const quote = /^[@`%&*!|>]/.test(text.slice(end + 1).trim())
      ? `: a text that begins so is quoted, as in '${path}="..."'`
      : '';
    return reject(first === undefined ? 'must be one value' : `is no YAML: ${first.message}${quote}`);
  }
  return { steps, key, value: placed(entry.value, key, end + 1 - KEY.length) };
}

/** The value with the places that it has in its text. */
function placed(node: SourceNode, { location }: Place, shift: number): SourceNode {
  const place = (part: Place): Place => ({
    ...part,
    location: { ...location, column: Math.max(1, part.location.column + shift) },
  });
  if (node.kind === 'scalar') return { ...node, ...place(node) };
  if (node.kind === 'list')
    return { ...node, ...place(node), items: node.items.map((item) => placed(item, { location, text: '' }, shift)) };
  const entries = Array.from(
    node.entries,
    ([name, { key, value }]) =>
      [name, { key: place(key), value: placed(value, { location, text: '' }, shift) }] as const,
  );
  return { ...node, ...place(node), entries: new Map(entries) };
}

/** The profile with a `matrix` that says nothing of the value that `steps` lead to. */
function withoutAxes(root: MapNode, steps: readonly string[]): MapNode {
  const matrix = root.entries.get('matrix');
  if (matrix === undefined || steps[0] === 'matrix') return root;
  const value = withoutPath(matrix.value, steps);
  return { ...root, entries: new Map(root.entries).set('matrix', { ...matrix, value }) };
}

function withoutPath(matrix: SourceNode, steps: readonly string[]): SourceNode {
  if (matrix.kind === 'list') return { ...matrix, items: matrix.items.map((item) => without(item, steps)) };
  if (matrix.kind !== 'map') return matrix;
  const path = steps.join('.');
  const kept = Array.from(matrix.entries).flatMap(([axis, entry]) => {
    if (axis === path || axis.startsWith(`${path}.`)) return [];
    if (!path.startsWith(`${axis}.`) || entry.value.kind !== 'list') return [[axis, entry] as const];
    const rest = steps.slice(axis.split('.').length);
    const items = entry.value.items.map((item) => without(item, rest));
    return [[axis, { ...entry, value: { ...entry.value, items } }] as const];
  });
  return { ...matrix, entries: new Map(kept) };
}

/** A value without the one that `steps` lead to in it. */
function without(node: SourceNode, [step, ...rest]: readonly string[]): SourceNode {
  const entry = node.kind === 'map' ? node.entries.get(step!) : undefined;
  if (node.kind !== 'map' || entry === undefined) return node;
  const entries = new Map(node.entries);
  if (rest.length === 0) entries.delete(step!);
  else entries.set(step!, { ...entry, value: without(entry.value, rest) });
  return { ...node, entries };
}
