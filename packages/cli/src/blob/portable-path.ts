import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import type { BlobFolders } from './blob-lines.ts';

/** What stands for the folder of the shipped profiles. */
const SHIPPED = '<shipped>';

/**
 * A path as other machines have it: relative to the folder of the shipped profiles or to the one in which the command
 * was started, with `/`. Any other path stays as it is.
 */
export function portablePath(path: string, { cwd, shipped }: BlobFolders): string {
  if (!isAbsolute(path)) return path;
  const ofShipped = below(path, shipped);
  if (ofShipped !== undefined) return `${SHIPPED}/${ofShipped}`;
  return below(path, cwd) ?? path;
}

/** Where a portable path is on this machine. */
export function localPath(path: string, { cwd, shipped }: BlobFolders): string {
  if (path.startsWith(`${SHIPPED}/`)) return join(shipped, path.slice(SHIPPED.length + 1));
  return resolve(cwd, path);
}

/** A path in a folder, from there, with `/`; `undefined` for one that is elsewhere. */
function below(path: string, folder: string): string | undefined {
  const way = relative(folder, path);
  if (way === '' || isAbsolute(way) || way.split(sep)[0] === '..') return undefined;
  return way.replaceAll('\\', '/');
}
