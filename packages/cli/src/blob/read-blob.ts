import { CodedError, messageOf } from '@virtio-platform/core';
import { TOOL_VERSION } from '@virtio-platform/runner';
import type { z } from 'zod';
import { placesOf } from '../run/run-part.ts';
import type { BlobEnd, BlobEntry, BlobHead } from './blob-lines.ts';
import { BLOB_SCHEMAS } from './blob-schema.ts';
import { textLines, type TextLine } from './blob-text.ts';

/** What one shard wrote, whole. */
export interface Blob {
  /** The file as the user names it. */
  readonly file: string;
  readonly head: BlobHead;
  /** The last line of each run that ended, by its place in the plan. */
  readonly entries: ReadonlyMap<number, BlobEntry>;
  readonly end: BlobEnd['end'];
}

const MAKE_IT_AGAIN = 'make this shard again: run --shard with the same part, profiles and options';
const WHAT_WRITES_IT = 'virtio-platform run --shard 1/4 --reporter blob=FILE writes one';

/**
 * Reads a blob that this version wrote, whose path is `path` and which messages call `file`. Throws {@link CodedError}
 * `ERR_RUN_BLOB`, with the line, for one that cannot be read, that is no blob, that is of another version, and that
 * ends early.
 */
export async function readBlob(path: string, file: string): Promise<Blob> {
  const reader = new BlobReader(file);
  try {
    for await (const line of textLines(path)) reader.read(line);
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw new CodedError('ERR_RUN_BLOB', `${file} cannot be read: ${messageOf(error)}`, { hint: WHAT_WRITES_IT });
  }
  return reader.blob();
}

/** Takes the lines of one blob. */
export class BlobReader {
  readonly #file: string;
  readonly #onEntry: ((entry: BlobEntry) => void) | undefined;
  readonly #entries = new Map<number, BlobEntry>();
  #line = 0;
  #head: BlobHead | undefined;
  #own: ReadonlySet<number> = new Set();
  #end: BlobEnd['end'] | undefined;

  /** `file` is what messages call the blob; `onEntry` is told of each line of a run. */
  constructor(file: string, onEntry?: (entry: BlobEntry) => void) {
    this.#file = file;
    this.#onEntry = onEntry;
  }

  /** The first line, once it was read. */
  get head(): BlobHead | undefined {
    return this.#head;
  }

  /** Takes one line. Throws {@link CodedError} `ERR_RUN_BLOB` for one that is wrong. */
  read({ text, isWhole }: TextLine): void {
    this.#line++;
    if (!isWhole) throw this.#endsEarly(`line ${this.#line} is cut off`);
    if (this.#end !== undefined) throw this.#wrong('comes after the end of the blob');
    const data = this.#parse(text);
    if (this.#head === undefined) this.#begin(data);
    else if ('end' in data) {
      this.#check(data, BLOB_SCHEMAS.end);
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the schema has checked it
      this.#end = (data as BlobEnd).end;
    } else {
      this.#check(data, BLOB_SCHEMAS.entry);
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the schema has checked it
      this.#add(data as BlobEntry);
    }
  }

  /** What was read. Throws where something is missing. */
  blob(): Blob {
    const [head, end] = [this.#head, this.#end];
    if (head === undefined) throw this.#endsEarly('it is empty');
    if (end === undefined) throw this.#endsEarly('its last line is missing');
    const missing = [...this.#own].find((place) => !this.#entries.has(place));
    if (missing !== undefined && end.earlyEnd === null)
      throw this.#endsEarly(`the run ${head.plan[missing]!.name} is missing`);
    return { file: this.#file, head, entries: this.#entries, end };
  }

  #begin(data: object): void {
    if ('blob' in data && 'toolVersion' in data && data.toolVersion !== TOOL_VERSION) {
      const versions = `was made by virtio-platform ${String(data.toolVersion)}, and this is ${TOOL_VERSION}`;
      throw new CodedError('ERR_RUN_BLOB', `${this.#file} ${versions}`, {
        hint: 'merge with the version that made the runs, which has to be the same for all shards',
      });
    }
    this.#check(data, BLOB_SCHEMAS.head);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the schema has checked it
    this.#head = data as BlobHead;
    this.#own = new Set(placesOf(this.#head.plan, this.#head.shard));
  }

  #add(entry: BlobEntry): void {
    const planned = this.#head?.plan[entry.run];
    if (planned === undefined || !this.#own.has(entry.run)) throw this.#wrong('has a run that is not of this shard');
    const { profile, seed } = entry.report;
    if (profile !== planned.name || seed !== planned.seed) throw this.#wrong('has the report of another run');
    this.#entries.set(entry.run, entry);
    this.#onEntry?.(entry);
  }

  #parse(text: string): object {
    let data: unknown;
    try {
      data = JSON.parse(text);
    } catch (error) {
      throw this.#wrong(`is no JSON: ${messageOf(error)}`);
    }
    if (typeof data !== 'object' || data === null) throw this.#wrong('is no object');
    return data;
  }

  /** What is read stays as it is, in the order of its keys: throws where the schema refuses it. */
  #check(data: object, schema: z.ZodType): void {
    const [issue] = schema.safeParse(data).error?.issues ?? [];
    if (issue !== undefined) throw this.#wrong(`is no line of a blob: ${[...issue.path, issue.message].join(': ')}`);
  }

  #wrong(what: string): CodedError {
    return new CodedError('ERR_RUN_BLOB', `${this.#file}:${this.#line}: ${what}`, { hint: WHAT_WRITES_IT });
  }

  #endsEarly(what: string): CodedError {
    const ended = 'the command that wrote it did not end by itself, or goes on';
    return new CodedError('ERR_RUN_BLOB', `${this.#file} ends early: ${what}; ${ended}`, { hint: MAKE_IT_AGAIN });
  }
}
