import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PREFIX = '@virtio-platform/';

/** Who may import whom: the rule of the house, written once more so that a change of it is seen. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  'device-kit': ['core', 'options'],
  'device-balloon': ['core', 'device-kit', 'options'],
  'device-block': ['core', 'device-kit', 'options'],
  'device-console': ['core', 'device-kit', 'options'],
  'device-entropy': ['core', 'device-kit', 'options'],
  'device-net': ['core', 'device-kit', 'options'],
  'device-scsi': ['core', 'device-kit', 'options'],
  'dma-sanitizer': ['core'],
  host: ['core'],
  mmio: ['core'],
  options: ['core'],
  pci: ['core'],
  'platform-amd-iommu': ['core', 'options'],
  'platform-intel-iommu': ['core', 'options'],
  'platform-legacy': ['core', 'options'],
  'platform-pseries': ['core', 'options'],
  'platform-sev': ['core', 'options'],
  'platform-smmuv3': ['core', 'options'],
  'platform-vfio': ['core', 'options'],
  'platform-virtio-iommu': ['core', 'device-kit', 'options'],
  'machine-simulated': ['core', 'mmio'],
  'machine-vfio': ['core', 'host', 'pci', 'platform-vfio'],
  'machine-vhost-user': [
    'core',
    'host',
    'platform-intel-iommu',
    'platform-pseries',
    'platform-sev',
    'platform-vfio',
    'vhost-user',
  ],
  'machine-qemu': [
    'core',
    'host',
    'mmio',
    'options',
    'pci',
    'platform-amd-iommu',
    'platform-intel-iommu',
    'platform-pseries',
    'platform-sev',
    'platform-smmuv3',
    'platform-virtio-iommu',
  ],
  'vhost-user': ['core', 'host'],
  serve: ['core', 'host', 'vhost-user'],
  profile: ['core', 'options'],
  session: ['core'],
  trace: ['core'],
  client: [
    'core',
    'device-block',
    'device-console',
    'device-entropy',
    'device-kit',
    'device-net',
    'device-scsi',
    'profile',
    'session',
  ],
  runner: ['core', 'dma-sanitizer', 'profile', 'session', 'trace'],
  conform: ['core', 'host', 'pci', 'profile', 'session'],
  report: ['core', 'runner', 'trace'],
  step: ['core', 'trace'],
  cli: ['bench', 'conform', 'core', 'host', 'profile', 'report', 'runner', 'serve', 'step', 'trace'],
  conformance: ['core', 'device-block', 'device-kit'],
  bench: [
    'core',
    'device-block',
    'host',
    'machine-vhost-user',
    'platform-amd-iommu',
    'platform-intel-iommu',
    'platform-legacy',
    'platform-pseries',
    'platform-sev',
    'platform-smmuv3',
    'platform-vfio',
    'platform-virtio-iommu',
    'profile',
    'session',
    'trace',
  ],
};

/**
 * Which folders of the core may import which. `index.ts` of the core itself names what it publishes of `errors` and
 * `platform`.
 */
const CORE_MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  features: [],
  memory: ['errors'],
  'address-space': ['errors', 'memory'],
  dma: ['address-space', 'errors', 'memory'],
  failure: ['dma', 'errors', 'memory'],
  queue: ['address-space', 'dma', 'errors', 'features', 'memory'],
  negotiation: ['dma', 'features'],
  device: ['dma', 'errors', 'features', 'negotiation', 'queue'],
  platform: ['address-space', 'device', 'dma', 'errors', 'failure', 'features', 'memory', 'negotiation', 'queue'],
};

const packages = readdirSync(join(ROOT, 'packages'));

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Our packages that the sources of one import, also by `import()` and in types. */
function imported(name: string): Set<string> {
  const found = new Set<string>();
  for (const file of sources(join(ROOT, 'packages', name, 'src'))) {
    const text = readFileSync(file, 'utf8').replace(/\/\*\*[\s\S]*?\*\//g, '');
    for (const [, other] of text.matchAll(/(?:from|import\()\s*['"]@virtio-platform\/([a-z-]+)(?:\/[a-z-]+)?['"]/g))
      found.add(other!);
  }
  return found;
}

/** The files that a source imports by a relative path, also by `import()` and in types. */
function imports(file: string): string[] {
  const text = readFileSync(file, 'utf8').replace(/\/\*\*[\s\S]*?\*\//g, '');
  return Array.from(text.matchAll(/(?:from|import\()\s*'(\.[^']+\.ts)'/g), ([, path]) => join(dirname(file), path!));
}

/** The circles of a graph, each as the names along it. */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const finished = new Set<string>();
  const visit = (name: string, path: readonly string[]): void => {
    const at = path.indexOf(name);
    if (at >= 0) found.push([...path.slice(at), name]);
    if (at >= 0 || finished.has(name)) return;
    for (const next of graph.get(name) ?? []) visit(next, [...path, name]);
    finished.add(name);
  };
  for (const name of graph.keys()) visit(name, []);
  return found;
}

function readJson(...path: string[]): unknown {
  return JSON.parse(readFileSync(join(ROOT, ...path), 'utf8'));
}

describe('layering', () => {
  it('has a rule for every package', () => {
    expect(packages.toSorted()).toEqual(Object.keys(MAY_IMPORT).toSorted());
  });

  it.each(packages)('%s imports only what it may', (name) => {
    expect([...imported(name)].filter((other) => !MAY_IMPORT[name]!.includes(other))).toEqual([]);
  });

  it.each(packages)('%s references just the packages it may import', (name) => {
    const { references } = readJson('packages', name, 'tsconfig.json') as { references: { path: string }[] };
    const packagesOf = references.flatMap(({ path }) => (path.startsWith('../') ? [path.slice(3)] : []));
    expect(packagesOf.toSorted()).toEqual(MAY_IMPORT[name]!.toSorted());
  });

  it.each(packages)('%s depends on what it imports', (name) => {
    const { dependencies = {}, peerDependencies = {} } = readJson('packages', name, 'package.json') as {
      dependencies?: Record<string, string>;
      peerDependencies?: Record<string, string>;
    };
    const declared = [...Object.keys(dependencies), ...Object.keys(peerDependencies)];
    expect([...imported(name)].filter((other) => !declared.includes(PREFIX + other))).toEqual([]);
  });

  it.each(packages)('%s has no circle of files', (name) => {
    const source = join(ROOT, 'packages', name, 'src');
    const graph = new Map(sources(source).map((file) => [file, imports(file)]));
    expect(graph.size).toBeGreaterThan(0);
    expect(circles(graph).map((path) => path.map((file) => relative(source, file)).join(' -> '))).toEqual([]);
  });

  it('finds circles', () => {
    const graph = new Map([
      ['a', ['b', 'c']],
      ['b', ['c']],
      ['c', ['d']],
      ['d', ['b']],
    ]);
    expect(circles(graph)).toEqual([['b', 'c', 'd', 'b']]);
    expect(circles(new Map([['a', ['a']]]))).toEqual([['a', 'a']]);
    expect(circles(graph.set('d', []))).toEqual([]);
  });

  it('has a rule for every folder of the core, and the rules have no circle', () => {
    const entries = readdirSync(join(ROOT, 'packages/core/src'), { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    expect(folders.filter((name) => name !== 'internal').toSorted()).toEqual(Object.keys(CORE_MAY_IMPORT).toSorted());
    expect(circles(new Map(Object.entries(CORE_MAY_IMPORT)))).toEqual([]);
  });

  it.each(Object.entries(CORE_MAY_IMPORT))('%s of the core imports only the folders that it may', (name, allowed) => {
    const source = join(ROOT, 'packages/core/src');
    const used = sources(join(source, name)).flatMap(imports);
    const folders = new Set(used.map((file) => relative(source, file).split(sep)[0]!));
    expect([...folders].filter((folder) => folder !== name && !allowed.includes(folder))).toEqual([]);
  });

  it('keeps the container in the core’s platform folder', () => {
    const published = packages.filter((name) => name !== 'bench');
    const users = published
      .flatMap((name) => sources(join(ROOT, 'packages', name, 'src')))
      .filter((file) => /from 'tsyringe'/.test(readFileSync(file, 'utf8')));
    expect(users.filter((file) => !file.includes(join('core', 'src', 'platform')))).toEqual([]);
    expect(users.length).toBeGreaterThan(0);
    // The polyfill comes first wherever the container is loaded, so that no user of the core has to load it.
    const loading = users.filter((file) => /^import \{.* from 'tsyringe'/m.test(readFileSync(file, 'utf8')));
    for (const file of loading)
      expect(readFileSync(file, 'utf8')).toMatch(/import 'reflect-metadata';[\s\S]*from 'tsyringe'/);
    expect(loading).toHaveLength(1);
  });

  it('gives the core no dependency but the container', () => {
    const core = readJson('packages/core/package.json') as { dependencies: object; peerDependencies?: object };
    expect(Object.keys(core.dependencies).toSorted()).toEqual(['reflect-metadata', 'tsyringe']);
    expect(core.peerDependencies).toBeUndefined();
  });

  it('does not compile where a platform imports another', () => {
    const folder = mkdtempSync(join(ROOT, 'test', '.layering-'));
    try {
      mkdirSync(join(folder, 'src'));
      const tsconfig = {
        extends: '../../packages/platform-legacy/tsconfig.json',
        compilerOptions: { rootDir: 'src', outDir: 'dist', tsBuildInfoFile: 'dist/.tsbuildinfo' },
        include: ['src'],
        references: [{ path: '../../packages/core' }],
      };
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig));
      const compile = (source: string): string => {
        writeFileSync(join(folder, 'src', 'index.ts'), source);
        try {
          return execFileSync(
            process.execPath,
            [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder, '--noEmit'],
            { encoding: 'utf8' },
          );
        } catch (error) {
          return (error as { stdout: string }).stdout;
        }
      };
      // TS6059 and TS6307: the file belongs to no referenced project. A referenced one may only be not built yet
      // (TS6305).
      const OUTSIDE = /error TS(6059|6307)/;
      expect(compile(`export { PAGE_SIZE } from '@virtio-platform/core/memory';\n`)).not.toMatch(OUTSIDE);
      expect(compile(`export { SevPlatform } from '@virtio-platform/platform-sev';\n`)).toMatch(OUTSIDE);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
