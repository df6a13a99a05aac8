import {
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isStale, thisProcess } from './process-identity.ts';
import { fileSystemError } from './file-system-error.ts';

const PREFIX = 'virtio-platform-';
/** The file in each folder that says which process it belongs to. */
const OWNER = 'owner';
/** Folders that one sweep looks at. */
const MAX_SWEPT = 1000;

/**
 * A new folder that only this user can enter, for the files of a program while it runs. `dispose` removes all of it. A
 * folder of a process that was killed is removed by {@link sweepTemporaryFolders} of a later one. The methods that
 * create something throw {@link HostError} `ERR_SYSCALL`.
 */
export class TemporaryFolder {
  readonly #path: string;

  constructor() {
    const parent = tmpdir();
    this.#path = attempt(`create a temporary folder in ${parent}`, () => mkdtempSync(join(parent, PREFIX)));
    try {
      this.createFile(OWNER, JSON.stringify(thisProcess() ?? {}));
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** The path of the file `name` in the folder. */
  pathOf(name: string): string {
    return join(this.#path, name);
  }

  /** Creates a file, and returns its path. */
  createFile(name: string, content: string | Uint8Array): string {
    const path = this.pathOf(name);
    attempt(`write ${path}`, () => writeFileSync(path, content, { flag: 'wx', mode: 0o600 }));
    return path;
  }

  /** Creates a sparse file of `size` zero bytes, and returns its path. */
  createSparseFile(name: string, size: number): string {
    const path = this.pathOf(name);
    attempt(`create ${path} of ${size} bytes`, () => {
      const file = openSync(path, 'wx', 0o600);
      try {
        ftruncateSync(file, size);
      } finally {
        closeSync(file);
      }
    });
    return path;
  }

  dispose(): void {
    rmSync(this.#path, { recursive: true, force: true });
  }
}

/**
 * Removes the temporary folders of this user whose process has ended without removing them, as one that was killed.
 * Leaves those of other users, of other containers and of running processes. Never throws.
 */
export function sweepTemporaryFolders(): void {
  const self = thisProcess();
  if (self === undefined) return;
  const folders = quietly(() => readdirSync(tmpdir()).filter((name) => name.startsWith(PREFIX))) ?? [];
  for (const name of folders.slice(0, MAX_SWEPT)) {
    const path = join(tmpdir(), name);
    quietly(() => {
      const { uid, isFolder } = statusOf(path);
      if (!isFolder || uid !== process.getuid?.()) return;
      const owner: unknown = JSON.parse(readFileSync(join(path, OWNER), 'utf8'));
      if (isStale(owner, self)) rmSync(path, { recursive: true, force: true });
    });
  }
}

function statusOf(path: string): { readonly uid: number; readonly isFolder: boolean } {
  const status = lstatSync(path);
  return { uid: status.uid, isFolder: status.isDirectory() };
}

/** A folder that vanishes meanwhile, or has no owner, is left as it is. */
function quietly<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch {
    return undefined;
  }
}

function attempt<T>(doing: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    throw fileSystemError(cause, doing);
  }
}
