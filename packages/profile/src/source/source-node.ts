import type { Place } from './profile-issue.ts';
/**
 * A value of YAML or of an object that knows where it stands. After merging, the parts of one tree come from several
 * files.
 */
export type SourceNode = ScalarNode | ListNode | MapNode;

/** A single value. */
export interface ScalarNode extends Place {
  readonly kind: 'scalar';
  /** Whole numbers of any width are bigint: a 64-bit address must not lose bits. `null` is YAML's. */
  readonly value: string | number | bigint | boolean | null;
}

/** A sequence of YAML, or an array. */
export interface ListNode extends Place {
  readonly kind: 'list';
  readonly items: readonly SourceNode[];
}

/** A mapping of YAML, or an object, in the order of its keys. */
export interface MapNode extends Place {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, MapEntry>;
}

/** A key of a mapping with its value. */
export interface MapEntry {
  readonly key: Place;
  readonly value: SourceNode;
}

/** The node that `path` leads to, or `undefined`. */
export function nodeAt(root: SourceNode, path: readonly PropertyKey[]): SourceNode | undefined {
  let node: SourceNode | undefined = root;
  for (const key of path) node = node === undefined ? undefined : entryOf(node, key)?.value;
  return node;
}

/**
 * Where the value, or the key, at `path` stands. A path that leads nowhere gives the key of the deepest map on the way:
 * that is where something is missing.
 */
export function placeOf(root: SourceNode, path: readonly PropertyKey[], part: 'value' | 'key' = 'value'): Place {
  let node = root;
  let key: Place = root;
  for (const step of path) {
    const entry = entryOf(node, step);
    if (entry === undefined) return key;
    key = entry.key;
    node = entry.value;
  }
  return part === 'key' ? key : node;
}

/** The value without positions, as schemas take it: whole numbers that a `number` holds exactly are numbers. */
export function plainValue(node: SourceNode): unknown {
  if (node.kind === 'list') return node.items.map(plainValue);
  if (node.kind === 'map') return plainMap(node);
  if (typeof node.value !== 'bigint') return node.value;
  const narrowed = Number(node.value);
  return Number.isSafeInteger(narrowed) ? narrowed : node.value;
}

/** The value of a mapping without positions. */
export function plainMap(node: MapNode): Record<string, unknown> {
  return Object.fromEntries(Array.from(node.entries, ([key, { value }]) => [key, plainValue(value)]));
}

function entryOf(node: SourceNode, key: PropertyKey): MapEntry | undefined {
  if (node.kind === 'map') return node.entries.get(String(key));
  const item = node.kind === 'list' ? node.items[Number(key)] : undefined;
  return item === undefined ? undefined : { key: item, value: item };
}
