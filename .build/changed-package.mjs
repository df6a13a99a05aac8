import { existsSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

/** What the bundler leaves in `dist`; as old as the sources that it read. */
export const STAMP = '.bundled';

/** What every bundle depends on: how it is made, and which libraries are installed. */
const COMMON = ['bundle-package.mjs', '../node_modules/.package-lock.json'];

/**
 * Whether a package has a source that is newer than its bundle.
 *
 * @param {string} folder
 */
export function isChanged(folder) {
  const stamp = join(folder, 'dist', STAMP);
  if (!existsSync(stamp)) return true;
  const bundled = statSync(stamp).mtimeMs;
  const common = COMMON.map((path) => fileURLToPath(new URL(path, import.meta.url)));
  const inputs = [...common, join(folder, 'package.json'), join(folder, 'src'), ...sourcesOf(folder)];
  return inputs.some((path) => (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) > bundled);
}

/**
 * The sources of a package, and the folders that they are in.
 *
 * @param {string} folder
 */
export function sourcesOf(folder) {
  const names = readdirSync(join(folder, 'src'), { recursive: true, encoding: 'utf8' });
  return names.map((name) => join(folder, 'src', name));
}
