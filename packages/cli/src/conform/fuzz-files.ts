import { createHash } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { operationText, readOperations, type CaseResult, type Sample } from '@virtio-platform/conform';
import { CodedError, messageOf } from '@virtio-platform/core';
import type { Profile } from '@virtio-platform/profile';
import { makeFolder } from '../make-folder.ts';

/** Folders of samples and failures, where they are wanted. */
export interface FuzzFolders {
  readonly save?: string | undefined;
  readonly corpus?: string | undefined;
}

const EXTENSION = '.operations.json';
/** Characters of the name of a sample. */
const NAME = 12;

/** The files of operations of one command: what it begins with, and what it found. */
export class FuzzFiles {
  readonly #cwd: string;
  readonly #type: string;
  readonly #corpus: string | undefined;
  readonly #save: string | undefined;

  /** Makes the folders. Throws `ERR_RUN_REPORT` where one cannot be made. */
  constructor(cwd: string, { device }: Profile, { save, corpus }: FuzzFolders) {
    this.#cwd = cwd;
    this.#type = device.type.name;
    this.#corpus = corpus === undefined ? undefined : folder(cwd, corpus, '--corpus');
    this.#save = save === undefined ? undefined : folder(cwd, save, '--save');
  }

  /** The samples of the corpus that are for this device type, in the order of their names. */
  samples(): readonly Sample[] {
    if (this.#corpus === undefined) return [];
    const names = readdirSync(this.#corpus).filter((name) => name.endsWith(EXTENSION));
    const files = names.toSorted().map((name) => readOperations(join(this.#corpus!, name)));
    return files.filter(({ type }) => type === this.#type);
  }

  /** Writes a sample to the corpus, where there is one. */
  keep(sample: Sample): void {
    if (this.#corpus !== undefined) this.#write(this.#corpus, 'sample', sample, {});
  }

  /** Writes a failure, and returns the path as the user has it; `undefined` without a folder for it. */
  saveFailure(sample: Sample, { verdict, seen }: CaseResult, seed: number): string | undefined {
    const place = this.#save ?? this.#corpus;
    if (place === undefined) return undefined;
    const kind = this.#save === undefined ? join('failures', verdict) : verdict;
    const path = this.#write(place, kind, sample, { verdict, seen, seed });
    const local = relative(this.#cwd, path);
    return local.startsWith('..') ? path : local;
  }

  #write(place: string, kind: string, { layout, operations }: Sample, facts: object): string {
    const text = operationText({ type: this.#type, layout, ...facts, operations });
    const digest = createHash('sha256')
      .update(JSON.stringify([layout, operations]))
      .digest('hex')
      .slice(0, NAME);
    const path = join(place, `${kind}-${digest}${EXTENSION}`);
    try {
      makeFolder(dirname(path));
      writeFileSync(path, text);
    } catch (error) {
      throw new CodedError('ERR_RUN_REPORT', `${path} cannot be written: ${messageOf(error)}`, { cause: error });
    }
    return path;
  }
}

function folder(cwd: string, name: string, option: string): string {
  const path = resolve(cwd, name);
  try {
    makeFolder(path);
  } catch (error) {
    throw new CodedError('ERR_RUN_REPORT', `${path} cannot be made: ${messageOf(error)}`, {
      hint: `give ${option} another folder`,
      cause: error,
    });
  }
  return path;
}
