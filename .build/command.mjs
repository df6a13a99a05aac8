// Runs the command as it is published, from the sources of this clone: bundles what is newer than its bundle first,
// which takes a second where nothing was bundled yet. A run from the sources themselves takes several times as long to
// start, because each of their modules is compiled by itself.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isChanged } from './changed-package.mjs';

const PACKAGES = new URL('../packages/', import.meta.url);
const OURS = '@virtio-platform/';

const changed = neededBy('cli').filter(isChanged);
if (changed.length > 0) {
  const { bundlePackage } = await import('./bundle-package.mjs');
  for (const folder of changed) await bundlePackage(folder);
}
// Places that people are shown are those of the sources.
if (process.argv.some((word) => word === '--stack' || word === '--sanitize')) process.setSourceMapsEnabled(true);
await import(new URL('cli/dist/main.js', PACKAGES).href);

/**
 * The folders of a package and of all that it depends on.
 *
 * @param {string} name
 */
function neededBy(name, found = new Map()) {
  if (found.has(name)) return [...found.values()];
  const folder = fileURLToPath(new URL(name, PACKAGES));
  found.set(name, folder);
  const { dependencies } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
  for (const other of Object.keys(dependencies)) if (other.startsWith(OURS)) neededBy(other.slice(OURS.length), found);
  return [...found.values()];
}
