import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A temporary folder that this process uses alone, until it is removed. */
export interface OwnTemporaryFolder {
  readonly path: string;
  /** Sets TMPDIR to what it was, and removes the folder with what is in it. */
  readonly remove: () => void;
}

/**
 * Creates a folder and sets TMPDIR of this process to it, so that a test sees its own temporary files only: other test
 * files boot machines at the same time.
 */
export function ownTemporaryFolder(): OwnTemporaryFolder {
  const before = process.env['TMPDIR'];
  const path = mkdtempSync(join(tmpdir(), 'virtio-platform-test-'));
  process.env['TMPDIR'] = path;
  return {
    path,
    remove() {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
      rmSync(path, { recursive: true });
    },
  };
}
