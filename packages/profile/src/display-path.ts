import { relative, resolve } from 'node:path';
import type { SourceLocation } from './profile.ts';

/** A path as messages print it: relative to the current folder. */
export function displayPath(path: string): string {
  return relative(process.cwd(), resolve(path)) || '.';
}

/** A place as messages print it, in the form that editors and terminals make a link of: `file:line:column`. */
export function displayLocation(location: SourceLocation): string {
  return `${displayPath(location.file)}:${location.line}:${location.column}`;
}
