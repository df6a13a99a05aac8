import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A fresh folder that only this user can enter, for what a program needs while it runs. Removed with everything in it. */
export class TemporaryFolder {
  readonly #path: string = mkdtempSync(join(tmpdir(), 'virtio-platform-'));

  /** The path of a file in it. */
  pathOf(name: string): string {
    return join(this.#path, name);
  }

  /** Creates a sparse file of `size` bytes, all zero, and returns its path. */
  createSparseFile(name: string, size: number): string {
    const path = this.pathOf(name);
    const file = openSync(path, 'wx', 0o600);
    try {
      ftruncateSync(file, size);
    } finally {
      closeSync(file);
    }
    return path;
  }

  dispose(): void {
    rmSync(this.#path, { recursive: true, force: true });
  }
}
