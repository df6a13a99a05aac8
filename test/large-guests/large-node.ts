import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { MOST_MEMORY } from '@virtio-platform/core/memory';

/** The releases of Node, as the npm package `node` has them, that the shipped profiles are run with. */
export const NODE_RELEASES = ['20', '22', '24'] as const;
type NodeRelease = (typeof NODE_RELEASES)[number];

/** The one that large guests are tested with. */
const LARGE: NodeRelease = '24';
const PROGRAM = 'node_modules/node/bin/node';

/** Whether the Node that runs this has arrays of more than 4 GiB, which large guests need. */
export const IS_LARGE: boolean = MOST_MEMORY > 2 ** 32;

/** A Node that runs large guests: this one, or one that was fetched; `undefined` where there is neither. */
export function largeNode(): string | undefined {
  return IS_LARGE ? process.execPath : nodeOf(LARGE);
}

/** A Node of this release: this one, or one that was fetched; `undefined` where there is neither. */
export function nodeOf(release: NodeRelease): string | undefined {
  if (process.versions.node.startsWith(`${release}.`)) return process.execPath;
  const program = join(folder(release), PROGRAM);
  return existsSync(program) ? program : undefined;
}

/** Fetches a Node that runs large guests, as {@link fetchNode} does. */
export function fetchLargeNode(): string {
  return largeNode() ?? fetchNode(LARGE);
}

/** Fetches the npm package into the cache of the tests, once. Several processes may do so at the same time. */
export function fetchNode(release: NodeRelease): string {
  const known = nodeOf(release);
  if (known !== undefined) return known;
  mkdirSync(cacheFolder(), { recursive: true });
  const work = mkdtempSync(join(cacheFolder(), '.fetch-'));
  try {
    const words = ['install', '--silent', '--no-save', '--prefix', work, `node@${release}`];
    execFileSync('npm', words, { stdio: 'inherit' });
    renameSync(work, folder(release));
  } catch (error) {
    if (nodeOf(release) === undefined) throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return join(folder(release), PROGRAM);
}

function folder(release: NodeRelease): string {
  return join(cacheFolder(), `node-${release}`);
}

function cacheFolder(): string {
  const { VIRTIO_PLATFORM_CACHE: own, XDG_CACHE_HOME: caches } = process.env;
  return own ?? join(caches ?? join(homedir(), '.cache'), 'virtio-platform');
}
