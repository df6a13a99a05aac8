import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ProfileObject } from '../schema/profile-object.ts';

/** A profile as text: YAML. */
export interface ProfileText {
  readonly text: string;
  /** What messages call it in place of a file; `[text]` unless given. */
  readonly name?: string | undefined;
}

/** Where a profile comes from: the path or `file:` URL of a YAML file, YAML text, or an object. */
export type ProfileSource = string | URL | ProfileText | ProfileObject;

/** A source, told apart from the others by one look at it, with the file that it is or that stands for it. */
export type LocatedSource =
  | { readonly kind: 'file'; readonly file: string }
  | { readonly kind: 'text'; readonly file: string; readonly text: string }
  | { readonly kind: 'object'; readonly file: string; readonly value: unknown };

/**
 * Tells what a source is. Paths in text and objects start at `baseDirectory`, so the file that stands for them is
 * there. Text is an object with `text`, which is no key of a profile. Throws `TypeError` for a URL that is no file.
 */
export function locateSource(source: unknown, baseDirectory: string = process.cwd()): LocatedSource {
  if (typeof source === 'string') return { kind: 'file', file: source };
  if (isUrl(source)) return { kind: 'file', file: fileURLToPath(source) };
  const text = textOf(source, 'text');
  const named = (name: string): string => join(resolve(baseDirectory), name);
  if (text === undefined) return { kind: 'object', file: named('[object]'), value: source };
  const name = textOf(source, 'name') ?? '';
  return { kind: 'text', file: named(basename(name) || '[text]'), text };
}

function isUrl(source: unknown): source is URL {
  try {
    return source instanceof URL;
  } catch {
    return false;
  }
}

/** The text of an own property. Runs no code of the object but the traps of a proxy. */
function textOf(source: unknown, key: string): string | undefined {
  try {
    const value: unknown = Object.getOwnPropertyDescriptor(source, key)?.value;
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
