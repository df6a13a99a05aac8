import { existsSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The version that templates give for our packages. */
const PLACEHOLDER = 'template-version';

interface Manifest {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  overrides?: Record<string, string>;
}

/**
 * Names in the package.json of a new package where npm gets our packages: the release of this command, or, where this
 * command was installed from files that no registry has, the same files. npm then needs those of what our packages
 * depend on, too.
 */
export function nameSources(manifestPath: string, version: string): void {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the template's own
  const manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as Manifest;
  const files = installedFiles(dirname(realpathSync(fileURLToPath(new URL('../../package.json', import.meta.url)))));
  for (const dependencies of [manifest.dependencies, manifest.devDependencies]) {
    for (const [name, given] of Object.entries(dependencies)) {
      if (given === PLACEHOLDER) dependencies[name] = files.get(name) ?? `^${version}`;
    }
  }
  const direct = { ...manifest.dependencies, ...manifest.devDependencies };
  const overrides = [...files].map(([name, file]) => [name, name in direct ? `$${name}` : file] as const);
  if (overrides.length > 0) manifest.overrides = Object.fromEntries(overrides);
  writeFileSync(manifestPath, `${JSON.stringify(manifest, undefined, 2)}\n`);
}

/**
 * Our packages that were installed from files together with this one, each with its `file:` and absolute path; none
 * where they come from a registry. npm keeps a record of that in `node_modules/.package-lock.json`.
 */
function installedFiles(own: string): Map<string, string> {
  const found = new Map<string, string>();
  const root = own.slice(0, own.lastIndexOf(join('/', 'node_modules', '@virtio-platform')));
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!own.startsWith(join(root, 'node_modules')) || !existsSync(record)) return found;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- npm's own file; what is not as expected is passed over
  const { packages = {} } = JSON.parse(readFileSync(record, 'utf8')) as {
    packages?: Record<string, { resolved?: unknown } | undefined>;
  };
  for (const [path, entry] of Object.entries(packages)) {
    const name = /(?:^|\/)node_modules\/(@virtio-platform\/[^/]+)$/.exec(path)?.[1];
    const resolved = entry?.resolved;
    if (name === undefined || typeof resolved !== 'string' || !resolved.startsWith('file:')) continue;
    found.set(name, `file:${resolve(root, resolved.slice('file:'.length))}`);
  }
  return found;
}
