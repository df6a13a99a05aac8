import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** What is written in a module of its dependencies: names, comma separated, in the section `.modinfo`. */
const DEPENDS = '\0depends=';

/**
 * Finds the files of kernel modules and of all that they depend on, in an order in which `insmod` loads them. A module
 * that is built into the kernel has no file. Throws for a name that this kernel does not know.
 */
export function orderModules(folder: string, names: readonly string[]): string[] {
  const files = new Map<string, string>();
  for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
    if (path.endsWith('.ko')) files.set(moduleName(path), join(folder, path));
  const builtIn = new Set(readFileSync(join(folder, 'modules.builtin'), 'utf8').split('\n').map(moduleName));

  const ordered = new Set<string>();
  const entered = new Set<string>();
  const visit = (name: string): void => {
    if (entered.has(name)) return;
    entered.add(name);
    const file = files.get(name);
    if (file === undefined) {
      if (builtIn.has(name)) return;
      throw new Error(`${folder} has no module ${name}`);
    }
    for (const other of dependencies(file)) visit(other);
    ordered.add(file);
  };
  for (const name of names) visit(moduleName(name));
  return [...ordered];
}

/** Names in `.modinfo` have underscores where those of files may have hyphens. */
function moduleName(path: string): string {
  return basename(path, '.ko').replaceAll('-', '_');
}

function dependencies(file: string): string[] {
  const bytes = readFileSync(file);
  const at = bytes.indexOf(DEPENDS);
  if (at === -1) return [];
  const start = at + DEPENDS.length;
  const list = bytes.toString('latin1', start, bytes.indexOf(0, start));
  return list === '' ? [] : list.split(',').map(moduleName);
}
