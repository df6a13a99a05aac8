import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { MOST_MEMORY } from '@virtio-platform/core/memory';

/** The release of the npm package `node` that large guests are tested with. */
const RELEASE = '24';
const PROGRAM = 'node_modules/node/bin/node';

/** Whether the Node that runs this has arrays of more than 4 GiB, which large guests need. */
export const IS_LARGE: boolean = MOST_MEMORY > 2 ** 32;

/** A Node that runs large guests: this one, or one that was fetched; `undefined` where there is neither. */
export function largeNode(): string | undefined {
  if (IS_LARGE) return process.execPath;
  const program = join(folder(), PROGRAM);
  return existsSync(program) ? program : undefined;
}

/** Fetches the npm package into the cache of the tests, once. Several processes may do so at the same time. */
export function fetchLargeNode(): string {
  const known = largeNode();
  if (known !== undefined) return known;
  mkdirSync(cacheFolder(), { recursive: true });
  const work = mkdtempSync(join(cacheFolder(), '.fetch-'));
  try {
    const words = ['install', '--silent', '--no-save', '--prefix', work, `node@${RELEASE}`];
    execFileSync('npm', words, { stdio: 'inherit' });
    renameSync(work, folder());
  } catch (error) {
    if (largeNode() === undefined) throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return join(folder(), PROGRAM);
}

function folder(): string {
  return join(cacheFolder(), `node-${RELEASE}`);
}

function cacheFolder(): string {
  const { VIRTIO_PLATFORM_CACHE: own, XDG_CACHE_HOME: caches } = process.env;
  return own ?? join(caches ?? join(homedir(), '.cache'), 'virtio-platform');
}
