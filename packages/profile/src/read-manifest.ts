import { readFileSync } from 'node:fs';
import { isRecord, type UnknownRecord } from './unknown-record.ts';

/** Reads a package.json. One that is not there or cannot be read says nothing. */
export function readManifest(path: string): UnknownRecord {
  try {
    const content: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return isRecord(content) ? content : {};
  } catch {
    return {};
  }
}
