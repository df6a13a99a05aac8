import { describeValue } from '@virtio-platform/core';
import { MAX_DEPTH, type ParsedSource } from './parse-yaml.ts';
import { issueAt, MAX_ISSUES, MAX_TEXT, type Place, type ProfileIssue } from './profile-issue.ts';
import type { MapEntry, MapNode, SourceNode } from './source-node.ts';

/** Characters, as in a YAML file of 1 MiB: of keys and text, and {@link VALUE_LENGTH} for each value. */
const MAX_LENGTH = 1024 * 1024;
/** A value takes far more time and memory to check than a character. */
const VALUE_LENGTH = 10;

/**
 * Reads an object into nodes that know their keys, or says everything that keeps it from being plain data. An object
 * may come from anywhere, so it is trusted no more than a file: only own properties that hold a value are read, once,
 * and no code of the object runs but the traps of a proxy. `file` stands for it in messages and where paths start.
 */
export function readObject(file: string, value: unknown): ParsedSource {
  const reader = new ObjectReader(file);
  try {
    const root = reader.readRoot(value);
    return { root: reader.issues.length > 0 ? undefined : root, issues: reader.issues };
  } catch {
    return { root: undefined, issues: [reader.unreadable] };
  }
}

class ObjectReader {
  readonly issues: ProfileIssue[] = [];
  readonly #file: string;
  /** The objects that lead to the value that is read, with their paths. */
  readonly #open = new Map<object, string>();
  #length = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** Of an object that throws when it is looked at. */
  get unreadable(): ProfileIssue {
    return issueAt(this.#place('', ''), [], 'the object throws when it is read');
  }

  readRoot(value: unknown): MapNode | undefined {
    if (isPlainObject(value)) return this.#readMap(value, '');
    this.#reject('', `a profile is an object of sections, not ${describeKind(value)}`);
    return undefined;
  }

  /** Returns `undefined` where there is no value, which is then an issue. */
  #read(value: unknown, path: string): SourceNode | undefined {
    this.#length += VALUE_LENGTH;
    if (this.#length > MAX_LENGTH) return this.#rejectLength();
    if (typeof value === 'object' && value !== null) return this.#readObject(value, path);
    switch (typeof value) {
      case 'string':
        this.#length += value.length;
        if (this.#length > MAX_LENGTH) return this.#rejectLength();
        break;
      case 'number':
        if (!Number.isFinite(value)) return this.#reject(path, `is ${value}, which is no number that can be used`);
        if (Number.isInteger(value) && !Number.isSafeInteger(value))
          return this.#reject(path, `is beyond 2^53, where a number has lost bits: give a bigint, such as 0x1000n`);
        break;
      case 'bigint':
      case 'boolean':
        break;
      default:
        if (value !== null) return this.#reject(path, `is ${describeKind(value)}; a profile is plain data`);
    }
    return { ...this.#place(path, value === null ? '' : String(value)), kind: 'scalar', value };
  }

  #readObject(value: object, path: string): SourceNode | undefined {
    const above = this.#open.get(value);
    if (above !== undefined) {
      const where = above === '' ? 'the whole object' : `\`${above}\``;
      return this.#reject(path, `refers back to ${where}, so it never ends`);
    }
    if (this.#open.size > MAX_DEPTH) return this.#reject(path, `is nested deeper than ${MAX_DEPTH} levels`);
    if (Array.isArray(value)) return this.#readList(value, path);
    if (isPlainObject(value)) return this.#readMap(value, path);
    return this.#reject(path, `is ${describeKind(value)}; a profile is plain data`);
  }

  #readList(list: readonly unknown[], path: string): SourceNode {
    this.#open.set(list, path);
    const items: SourceNode[] = [];
    for (let i = 0; i < list.length && !this.#isFull; i++) {
      const at = below(path, i);
      const descriptor = Object.getOwnPropertyDescriptor(list, i);
      if (descriptor === undefined) this.#reject(at, 'is missing: a list has no holes');
      const item = descriptor && this.#readProperty(descriptor, at);
      if (item !== undefined) items.push(item);
    }
    this.#open.delete(list);
    return { ...this.#place(path, ''), kind: 'list', items };
  }

  #readMap(map: object, path: string): MapNode {
    this.#open.set(map, path);
    const entries = new Map<string, MapEntry>();
    for (const key of Reflect.ownKeys(map)) {
      if (this.#isFull) break;
      const descriptor = Object.getOwnPropertyDescriptor(map, key);
      if (descriptor?.enumerable !== true) continue;
      const at = below(path, key);
      if (typeof key === 'symbol') this.#reject(at, 'is a symbol, which cannot be a key');
      else if (key === '__proto__') this.#reject(at, '`__proto__` cannot be a key');
      // As in every other options object, what is undefined is not given.
      else if (descriptor.value !== undefined || !('value' in descriptor)) {
        this.#length += key.length;
        const value = this.#readProperty(descriptor, at);
        if (value !== undefined) entries.set(key, { key: this.#place(at, key), value });
      }
    }
    this.#open.delete(map);
    return { ...this.#place(path, ''), kind: 'map', entries };
  }

  #readProperty(descriptor: PropertyDescriptor, path: string): SourceNode | undefined {
    if (!('value' in descriptor)) return this.#reject(path, 'is a getter or setter; a profile is plain data');
    return this.#read(descriptor.value, path);
  }

  /** Whether nothing more is read: no issue would be noted, or the object is too large. */
  get #isFull(): boolean {
    return this.issues.length >= MAX_ISSUES || this.#length > MAX_LENGTH;
  }

  #rejectLength(): undefined {
    return this.#reject('', 'is larger than 1 MiB');
  }

  #reject(path: string, message: string): undefined {
    if (this.issues.length < MAX_ISSUES)
      this.issues.push(issueAt(this.#place(path, ''), path === '' ? [] : [path], message));
  }

  #place(path: string, text: string): Place {
    const [firstLine = ''] = text.slice(0, MAX_TEXT).split(/\r?\n/, 1);
    return { location: { file: this.#file, line: 0, column: 0, key: path }, text: firstLine };
  }
}

function below(path: string, key: PropertyKey): string {
  return path === '' ? String(key) : `${path}.${String(key)}`;
}

/** Whether a value is an object as `{}` makes it, also one of another realm, or one without a prototype. */
function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) return true;
  return Object.getPrototypeOf(prototype) === null && ownValue(prototype, 'hasOwnProperty') !== undefined;
}

/** What a value is that a profile cannot have. Runs no code of the value. */
function describeKind(value: unknown): string {
  if (typeof value !== 'object' || value === null) return describeValue(value);
  if (Array.isArray(value)) return 'a list';
  const maker = ownValue(Object.getPrototypeOf(value) ?? {}, 'constructor');
  const name = typeof maker === 'function' ? ownValue(maker, 'name') : undefined;
  return typeof name === 'string' && name !== ''
    ? `an object of the class ${name.slice(0, MAX_TEXT)}`
    : 'an object with a prototype of its own';
}

function ownValue(object: unknown, key: string): unknown {
  return Object.getOwnPropertyDescriptor(object, key)?.value;
}
