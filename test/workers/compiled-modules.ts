import { fileURLToPath } from 'node:url';

/** A module of a package in this repository, of which `test/build.ts` compiles the other one. */
const SOURCE = /\/packages\/([\w-]+)\/src\/(.*)\.ts$/;
/** The same in a thread that is started beside these modules. */
const PACKAGES = new URL('../../packages/', import.meta.url).href;

/** The compiled form of a module's URL; `undefined` where it has none. */
export function compiledModule(url: string): string | undefined {
  if (!url.startsWith(PACKAGES)) return undefined;
  const compiled = url.replace(SOURCE, '/packages/$1/dist/$2.js');
  return compiled.endsWith('.js') ? compiled : undefined;
}

/** The source modules that start threads, and what starts the same threads from compiled modules in their place. */
export const COMPILED_STARTS: ReadonlyMap<string, string> = new Map(
  [
    ['../../packages/machine-simulated/src/start-worker.ts', './start-device-worker.ts'],
    ['../../packages/conformance/src/contract/check-worker.ts', './start-check-worker.ts'],
  ].map(([source, own]) => [path(source!), path(own!)]),
);

function path(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}
