import {
  Composer,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  Parser,
  type CST,
  type Document,
  type DocumentOptions,
  type Node,
  type ParseOptions,
  type SchemaOptions,
  type YAMLMap,
} from 'yaml';
import { issueAt, MAX_ISSUES, MAX_TEXT, type Place, type ProfileIssue } from './profile-issue.ts';
import type { MapEntry, MapNode, ScalarNode, SourceNode } from './source-node.ts';

/** Levels of nesting. A profile has about five; the composer recurses, and far deeper it would end the process. */
export const MAX_DEPTH = 64;
/** Nodes that aliases may add: a few lines of them could otherwise grow to billions. */
const MAX_ALIASED_NODES = 1000;

const OPTIONS: ParseOptions & DocumentOptions & SchemaOptions = {
  version: '1.2',
  intAsBigInt: true,
  stringKeys: true,
  // Repeated keys are found while reading, to name the place of both.
  uniqueKeys: false,
  prettyErrors: false,
  resolveKnownTags: false,
};

/** A profile as nodes, and what is wrong with it. */
export interface ParsedSource {
  /** `undefined` where the source holds no map. */
  readonly root: MapNode | undefined;
  readonly issues: readonly ProfileIssue[];
}

/**
 * Reads YAML 1.2 into nodes that know their places, with everything that is wrong with it as YAML. What it returns
 * beside syntax errors is a guess from the first of them on.
 */
export function parseYaml(file: string, source: string): ParsedSource {
  const lines = new LineCounter();
  const tokens = [...new Parser(lines.addNewLine).parse(source)];
  const reader = new NodeReader(file, source, lines);
  const deep = tooDeepToken(tokens);
  if (deep !== undefined) {
    reader.reject(deep.offset, deep.offset + 1, `is nested deeper than ${MAX_DEPTH} levels`, 'ERR_PROFILE_SYNTAX');
    return { root: undefined, issues: reader.issues };
  }
  const [document, second] = [...new Composer(OPTIONS).compose(tokens, true, source.length)];
  for (const { pos, message } of document!.errors) reader.reject(pos[0], pos[1], message, 'ERR_PROFILE_SYNTAX');
  for (const { pos, message } of document!.warnings) reader.reject(pos[0], pos[1], message);
  if (second !== undefined) {
    const start = second.range[0];
    reader.reject(start, start, 'a profile is one document; a second one starts here', 'ERR_PROFILE_SYNTAX');
  }
  return { root: reader.readDocument(document!), issues: reader.issues };
}

/** Turns the nodes of one document into {@link SourceNode}s, following its aliases within bounds. */
class NodeReader {
  readonly issues: ProfileIssue[] = [];
  readonly #file: string;
  readonly #source: string;
  readonly #lines: LineCounter;
  /** Lines and columns of the issues. */
  readonly #rejected = new Set<string>();
  readonly #anchors = new Map<string, Node>();
  #aliasedNodes = 0;
  #aliasDepth = 0;

  constructor(file: string, source: string, lines: LineCounter) {
    this.#file = file;
    this.#source = source;
    this.#lines = lines;
  }

  readDocument(document: Document): MapNode | undefined {
    if (document.directives?.yaml.version !== '1.2') {
      this.reject(0, 0, 'profiles are YAML 1.2; remove the %YAML directive');
    }
    const { contents } = document;
    if (isMap(contents)) return this.#readMap(contents, this.#placeOf(contents), 0);
    // After a syntax error it is likely that error which left no map.
    if (this.issues.length === 0) {
      const [start, end] = contents?.range ?? [0, 0];
      const isEmpty = contents === null || (isScalar(contents) && contents.value === null);
      this.reject(start, end, isEmpty ? 'the file is empty' : 'a profile is a map of keys, `key: value`');
    }
    return undefined;
  }

  /** Notes an issue, up to a number. One mistake often makes several errors at one place; the first says most. */
  reject(start: number, end: number, message: string, code?: string): void {
    if (this.issues.length >= MAX_ISSUES) return;
    const issue = issueAt(this.#place(start, end), [], message, code === undefined ? {} : { code });
    const place = `${issue.line}:${issue.column}`;
    if (this.#rejected.has(place)) return;
    this.#rejected.add(place);
    this.issues.push(issue);
  }

  /** Reads the value of `key`, which is no node where nothing is written. */
  #read(node: unknown, key: Place, depth: number): SourceNode {
    if (!isNode(node)) return { ...key, kind: 'scalar', value: null };
    const place = this.#placeOf(node, key);
    const nothing: ScalarNode = { ...place, kind: 'scalar', value: null };
    if (depth > MAX_DEPTH || (this.#aliasDepth > 0 && ++this.#aliasedNodes > MAX_ALIASED_NODES)) {
      // Positions from an alias on are those of its anchor, so this is reported once for each anchor.
      this.reject(
        node.range![0],
        node.range![1],
        `aliases grow beyond ${MAX_DEPTH} levels or ${MAX_ALIASED_NODES} values`,
      );
      return nothing;
    }
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source);
      if (target === undefined) {
        this.reject(node.range![0], node.range![1], `no anchor &${node.source} stands before this alias`);
        return nothing;
      }
      this.#aliasDepth++;
      const value = this.#read(target, key, depth + 1);
      this.#aliasDepth--;
      return value;
    }
    if (node.anchor !== undefined && this.#aliasDepth === 0) this.#anchors.set(node.anchor, node);
    if (isMap(node)) return this.#readMap(node, place, depth);
    if (isSeq(node)) {
      return {
        ...place,
        kind: 'list',
        items: node.items.map((item) => this.#read(item, place, depth + 1)),
      };
    }
    return { ...place, kind: 'scalar', value: scalarValue(node) };
  }

  #readMap(map: YAMLMap, place: Place, depth: number): MapNode {
    if (map.anchor !== undefined && this.#aliasDepth === 0) this.#anchors.set(map.anchor, map);
    const entries = new Map<string, MapEntry>();
    for (const pair of map.items) {
      // Keys that are not text were syntax errors already (`stringKeys`).
      if (!isScalar(pair.key) || typeof pair.key.value !== 'string') continue;
      const name = pair.key.value;
      const key = { ...this.#placeOf(pair.key), text: name };
      const first = entries.get(name);
      if (first !== undefined) this.#rejectRepeated(pair.key, first);
      else if (name === '__proto__') this.reject(pair.key.range![0], pair.key.range![1], '`__proto__` cannot be a key');
      else entries.set(name, { key, value: this.#read(pair.value, key, depth + 1) });
    }
    return { ...place, kind: 'map', entries };
  }

  #rejectRepeated(key: Node, first: MapEntry): void {
    const { text, location } = first.key;
    this.reject(key.range![0], key.range![1], `the key \`${text}\` is given twice, first in line ${location.line}`);
  }

  /** A value of which nothing is written, as in `key:`, stands where its key stands. */
  #placeOf(node: Node, key?: Place): Place {
    const [start, end] = node.range!;
    return start === end && key !== undefined ? key : this.#place(start, end);
  }

  #place(start: number, end: number): Place {
    const { line, col } = this.#lines.linePos(start);
    const text = this.#source.slice(start, Math.min(end, start + MAX_TEXT));
    const firstLine = text.split(/\r?\n/, 1)[0]!.trimEnd();
    return { location: { file: this.#file, line: Math.max(line, 1), column: Math.max(col, 1) }, text: firstLine };
  }
}

function scalarValue(node: Node): ScalarNode['value'] {
  const value: unknown = isScalar(node) ? node.value : null;
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'bigint':
    case 'boolean':
      return value;
    default:
      return null;
  }
}

/** The first token below {@link MAX_DEPTH}. Walks with a stack of its own: the depth is what is in doubt. */
function tooDeepToken(tokens: readonly CST.Token[]): CST.Token | undefined {
  const open: { token: CST.Token; depth: number }[] = tokens.map((token) => ({ token, depth: 0 }));
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { token, depth } = next;
    if (depth > MAX_DEPTH) return token;
    if (token.type === 'document') {
      if (token.value !== undefined) open.push({ token: token.value, depth });
    } else if ('items' in token) {
      for (const { key, value } of token.items) {
        if (key !== undefined && key !== null) open.push({ token: key, depth: depth + 1 });
        if (value !== undefined) open.push({ token: value, depth: depth + 1 });
      }
    }
  }
  return undefined;
}
