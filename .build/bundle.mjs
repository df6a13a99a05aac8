// Bundles the sources of packages into `dist`, beside the declarations that the compiler writes: a process that loads
// some twenty modules starts in half the time of one that loads seven hundred.
//
//   node bundle.mjs [--changed] FOLDER...
//
// With --changed: only the packages with a source that is newer than what was bundled last.
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { rolldown } from 'rolldown';

const SOURCE = '@virtio-platform/source';
/** What is not of the package: a module of Node or of another package, but for what newer syntax becomes. */
const EXTERNAL = /^(?:node:|@(?!oxc-project\/)|[a-z])/;
const STAMP = '.bundled';

const { values, positionals } = parseArgs({ options: { changed: { type: 'boolean' } }, allowPositionals: true });
for (const name of positionals) {
  const folder = resolve(name);
  if (values.changed !== true || isChanged(folder)) await bundle(folder);
}

/** @param {string} folder */
function isChanged(folder) {
  const stamp = join(folder, 'dist', STAMP);
  if (!existsSync(stamp)) return true;
  const bundled = statSync(stamp).mtimeMs;
  const inputs = [import.meta.filename, join(folder, 'package.json'), join(folder, 'src'), ...sourcesOf(folder)];
  return inputs.some((path) => statSync(path).mtimeMs > bundled);
}

/** @param {string} folder */
function sourcesOf(folder) {
  const names = readdirSync(join(folder, 'src'), { recursive: true, encoding: 'utf8' });
  return names.map((name) => join(folder, 'src', name));
}

/** @param {string} folder */
async function bundle(folder) {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const src = join(folder, 'src');
  const dist = join(folder, 'dist');
  for (const name of readdirSync(dist, { recursive: true, encoding: 'utf8' }))
    if (/\.js(?:\.map)?$/.test(name)) rmSync(join(dist, name));

  const build = await rolldown({
    input: Object.fromEntries(entriesOf(folder, manifest).map((path) => [placeOf(src, path), path])),
    cwd: folder,
    platform: 'node',
    external: EXTERNAL,
    transform: { target: 'node20.20' },
    // Modules have effects in the order of their imports, and what is exported is for others.
    treeshake: false,
    plugins: [ownPlaces(src)],
    logLevel: 'warn',
  });
  await build.write({
    dir: dist,
    format: 'esm',
    sourcemap: true,
    // The declarations have the comments, and a comment takes as long to load as code.
    comments: false,
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
  });
  await build.close();
  writeFileSync(join(dist, STAMP), '');
}

/**
 * The modules that are files of their own, at the places that their sources have: what the package exports, what a
 * process or a thread starts with (`#!`, `…-worker.ts`), and what says where it is (`import.meta`). Of a private package
 * each module is one.
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
    transform: (code, id) => ({
      code: code.replaceAll('import.meta.url', `__urlOf__(${JSON.stringify(`${placeOf(src, id)}.js`)})`),
      map: null,
    }),
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
