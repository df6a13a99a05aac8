import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SCOPE = '@virtio-platform';

export interface GuestBundle {
  /** Plugins that a profile in the folder can name, by their package without its scope. */
  readonly plugins: readonly string[];
  /** Programs by name, each with its source. */
  readonly programs: Readonly<Record<string, string>>;
}

/**
 * Bundles programs, and the plugins that they load, into `folder`, from which a guest's user can run them. In emulation
 * a file costs more to open than to read, and TypeScript more to compile than to run: here it takes two seconds, there
 * minutes.
 */
export async function bundleForGuest(folder: string, { plugins, programs }: GuestBundle): Promise<void> {
  const entries = plugins.map((name) => [name, join(ROOT, 'packages', name, 'src/index.ts')] as const);
  await build({
    root: ROOT,
    configFile: false,
    logLevel: 'warn',
    // Koffi has a native part; the polyfill has to be there before anything else, see `guestNode`.
    ssr: {
      noExternal: true,
      external: ['koffi', 'reflect-metadata'],
      resolve: { conditions: [`${SCOPE}/source`, 'node', 'default'] },
    },
    build: {
      ssr: true,
      outDir: join(folder, 'dist'),
      emptyOutDir: false,
      target: 'node20',
      rolldownOptions: {
        input: { ...Object.fromEntries(entries), ...programs },
        output: { entryFileNames: '[name].js', chunkFileNames: 'shared-[name].js' },
      },
    },
  });
  const dependencies = Object.fromEntries(plugins.map((name) => [`${SCOPE}/${name}`, '0.1.0']));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', dependencies }));
  for (const name of plugins) writePackage(folder, name);
  for (const name of ['koffi', 'reflect-metadata'])
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
  chmodSync(folder, 0o755);
}

/** How the guest starts a bundled program. */
export function guestNode(folder: string, program: string): string {
  return `${process.execPath} --require ${folder}/node_modules/reflect-metadata/Reflect.js ${folder}/dist/${program}.js`;
}

/** A package that is found by its name, and is the bundle's. */
function writePackage(folder: string, plugin: string): void {
  const at = join(folder, 'node_modules', SCOPE, plugin);
  mkdirSync(at, { recursive: true });
  const exports = { '.': './index.js', './package.json': './package.json' };
  const keywords = ['virtio-platform-plugin'];
  const manifest = { name: `${SCOPE}/${plugin}`, version: '0.1.0', type: 'module', keywords, exports };
  writeFileSync(join(at, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(at, 'index.js'), `export { default } from '../../../dist/${plugin}.js';\n`);
}
