import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { sourcesOf, STAMP } from './changed-package.mjs';

const SOURCE = '@virtio-platform/source';
/** What is not of the package: a module of Node or of another package, but for what newer syntax becomes. */
const EXTERNAL = /^(?:node:|@(?!oxc-project\/)|[a-z])/;

/**
 * Libraries that become part of a package, each by the package whose sources import it: Node loads one file in a
 * fraction of the time that it needs for the fifty to a hundred files of these libraries. All are leaves: no class or
 * symbol of theirs has to be the same in two packages. They stay dependencies, because declarations name their types.
 *
 * @type {Readonly<Record<string, readonly string[]>>}
 */
const BROUGHT_ALONG = {
  core: ['reflect-metadata', 'tsyringe'],
  profile: ['yaml'],
  cli: ['commander', 'picocolors', 'fast-wrap-ansi', 'validate-npm-package-name'],
};
const YAML = import.meta.resolve('yaml/package.json');
/** Packages that share one copy of zod import it from the core, which brings it along without its locales. */
const SHARED = 'zod';
const SHARED_BY = 'core';
const SHARED_AS = `@virtio-platform/${SHARED_BY}/${SHARED}`;

/**
 * Bundles the sources of one package into its `dist`.
 *
 * @param {string} folder
 */
export async function bundlePackage(folder) {
  const started = new Date();
  const name = basename(folder);
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const src = join(folder, 'src');
  const dist = join(folder, 'dist');
  mkdirSync(dist, { recursive: true });

  /** @type {Record<string, string>} */
  const input = Object.fromEntries(entriesOf(folder, manifest).map((path) => [placeOf(src, path), path]));
  if (name === SHARED_BY) input[SHARED] = SHARED;
  const brought = new Set(BROUGHT_ALONG[name]);
  const build = await rolldown({
    input,
    cwd: folder,
    platform: 'node',
    // A library that is brought along brings along what it imports itself.
    external: (id, importer) =>
      EXTERNAL.test(id) &&
      !brought.has(id) &&
      id !== SHARED &&
      (isBuiltin(id) || importer?.includes('/node_modules/') !== true),
    transform: { target: 'node20.20' },
    // Of libraries with modules of CommonJS for Node, their other modules: those are one scope, without wrappers.
    resolve: { mainFields: ['module', 'main'], alias: { yaml: fileURLToPath(new URL('browser', YAML)) } },
    // Modules of ours have effects in the order of their imports, and what they export is for others.
    treeshake: { moduleSideEffects: (id) => !id.includes('/node_modules/') || id.includes('/reflect-metadata/') },
    plugins: [ownPlaces(src), sharedLibrary()],
    logLevel: 'warn',
  });
  const { output } = await build.write({
    dir: dist,
    format: 'esm',
    sourcemap: true,
    // The declarations have the comments, and a comment takes as long to load as code.
    comments: false,
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
    codeSplitting: { groups: groupsOf(name, src) },
  });
  await build.close();
  // For bundles only: sources and declarations import the library itself.
  if (name === SHARED_BY) writeFileSync(join(dist, `${SHARED}.d.ts`), 'export {};\n');
  writeLicences(dist, output);
  // At the end: a process that started before may still load them.
  const written = new Set(output.map(({ fileName }) => fileName));
  for (const path of readdirSync(dist, { recursive: true, encoding: 'utf8' }))
    if (/\.js(?:\.map)?$/.test(path) && !written.has(path)) rmSync(join(dist, path));
  const stamp = join(dist, STAMP);
  writeFileSync(stamp, '');
  // What was changed meanwhile is newer than this.
  utimesSync(stamp, started, started);
}

/**
 * The modules that are files of their own, at the places that their sources have: what the package exports, what a
 * process or a thread starts with (`#!`, `…-worker.ts`), and what says where it is (`import.meta`). Of a private
 * package each module is one.
 *
 * @param {string} folder
 * @param {{ private?: boolean, exports: Record<string, string | Record<string, string>> }} manifest
 */
function entriesOf(folder, manifest) {
  const targets = Object.values(manifest.exports).map((target) => (typeof target === 'object' ? target[SOURCE] : ''));
  const entries = new Set(targets.filter(Boolean).map((target) => resolve(folder, target)));
  for (const path of sourcesOf(folder).filter((name) => name.endsWith('.ts'))) {
    const text = readFileSync(path, 'utf8');
    if (
      manifest.private === true ||
      text.startsWith('#!') ||
      path.endsWith('-worker.ts') ||
      text.includes('import.meta')
    )
      entries.add(path);
  }
  return [...entries];
}

/**
 * What stays together in one file, since a process that needs some of it needs all: without this, modules are one file
 * only where the same entries need them.
 *
 * @param {string} name
 * @param {string} src
 * @returns {import('rolldown').CodeSplittingGroup[]}
 */
function groupsOf(name, src) {
  if (name === 'core')
    return [
      { name: 'errors', test: (id) => id.startsWith(join(src, 'errors/')), priority: 2 },
      { name: 'inlining-budget', test: (id) => id.endsWith('/inlining-budget.ts'), priority: 2 },
      { name: 'core', test: (id) => id.startsWith(src), minShareCount: 2, priority: 1 },
    ];
  if (name !== 'cli') return [];
  // Without the module that awaits the command: what is imported meanwhile would wait for it.
  const main = join(src, 'main.ts');
  const start = importedFrom(main);
  start.delete(main);
  return [{ name: 'start', test: (id) => start.has(id) }];
}

/**
 * A module and all that it imports of its package, but for what it imports when it is needed.
 *
 * @param {string} path
 */
function importedFrom(path, found = new Set()) {
  if (found.has(path)) return found;
  found.add(path);
  const imports = readFileSync(path, 'utf8').matchAll(/^(?:import|export) (?!type )[^;]*?from '(\.[^']+)';/gm);
  for (const [, other] of imports) importedFrom(resolve(dirname(path), other), found);
  return found;
}

/**
 * The place of a source below `src`, without its ending.
 *
 * @param {string} src
 * @param {string} path
 */
function placeOf(src, path) {
  return relative(src, path).replace(/\.ts$/, '');
}

/**
 * Keeps what `import.meta.url` says, whichever file the bundler puts a module into.
 *
 * @param {string} src
 * @returns {import('rolldown').Plugin}
 */
function ownPlaces(src) {
  return {
    name: 'own-places',
    // Lines stay where they are, which is what a source map is asked for.
    transform: (code, id) =>
      id.startsWith(src)
        ? {
            code: code.replaceAll('import.meta.url', `__urlOf__(${JSON.stringify(`${placeOf(src, id)}.js`)})`),
            map: null,
          }
        : undefined,
    renderChunk: (code, { fileName }) => ({
      code: code.replaceAll(/__urlOf__\("([^"]+)"\)/g, (_, place) => {
        const way = relative(dirname(join('/', fileName)), join('/', place));
        if (way === basename(fileName)) return 'import.meta.url';
        return `new URL(${JSON.stringify(way.startsWith('.') ? way : `./${way}`)}, import.meta.url).href`;
      }),
      map: null,
    }),
  };
}

/**
 * Imports the shared library from the package that brings it along, there without the messages in other languages.
 *
 * @returns {import('rolldown').Plugin}
 */
function sharedLibrary() {
  return {
    name: 'shared-library',
    resolveId: (id, importer) =>
      id === SHARED && importer !== undefined ? { id: SHARED_AS, external: true } : undefined,
    load: (id) => (id.endsWith('/zod/v4/locales/index.js') ? 'export {};' : undefined),
  };
}

/**
 * Writes the licences of the libraries that a bundle has.
 *
 * @param {string} dist
 * @param {readonly import('rolldown').RolldownOutput['output'][number][]} output
 */
function writeLicences(dist, output) {
  const modules = output.flatMap((file) => (file.type === 'chunk' ? Object.keys(file.modules) : []));
  const folders = new Set(modules.flatMap((path) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []));
  const texts = [...folders].toSorted().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((each) => /^(?:licen[cs]e|copying)/i.test(each));
    const text = file === undefined ? '' : `\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
    return `${name} ${version} (${license})\n${text}`;
  });
  const path = join(dist, 'third-party-licenses.txt');
  if (texts.length > 0) writeFileSync(path, texts.join('\n----\n\n'));
  else if (existsSync(path)) rmSync(path);
}
