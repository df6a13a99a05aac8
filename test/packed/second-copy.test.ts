import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { tarballsIn } from './global-setup.ts';
import { npmInstall, runProgram, succeed } from './program.ts';

/** Where the command is: as `npm install --global` leaves it, all that it depends on beside it. */
const global = inject('project');
const command = join(global, 'node_modules', '.bin', 'virtio-platform');

/** A project without the command, with a core and a tsyringe of its own, and shipped plugins of its own. */
let local: string;

/** The parts of the platform that each of the plugins below has. */
const BODY = (core: string): string => `
  const { definePlatformPlugin, DmaError, GUEST_MEMORY, PLATFORM, PLUGIN_API_VERSION } = ${core};
  const options = { '~standard': { version: 1, vendor: 'own', validate: (value) => ({ value }) } };
  class Own {
    name = 'own';
    guestByteOrder = 'little';
    rules = [];
    traits = {
      restrictedMemory: false, isolates: false, mappedPath: 'identity', identityVerified: true,
      reachesAllMemory: true, addressMeaning: 'the same',
    };
    constructor(memory, options) { this.memory = memory; this.options = options; }
    openMapping(path, { capacity }) {
      if (this.options.exhausted) throw new DmaError('ERR_DMA_EXHAUSTED', 'own: there is no room', { hint: 'make room' });
      return new DirectDmaMapping(this.memory, { path: 'identity', capacity });
    }
    dispose() {}
  }
  const plugin = definePlatformPlugin({
    kind: 'platform', name: 'own', apiVersion: PLUGIN_API_VERSION, options, needs: [],
    register(container, options) {
      container.register(PLATFORM, { useFactory: (bound) => new Own(bound.resolve(GUEST_MEMORY), options) });
    },
    simulate: () => ({ facilities: new Map(), addressSpace: () => PHYSICAL_ADDRESS_SPACE }),
  });
`;

const MODULE = `
import * as core from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
${BODY('core')}
export default plugin;
`;

const COMMON = `
const { PHYSICAL_ADDRESS_SPACE } = require('@virtio-platform/core/address-space');
const { DirectDmaMapping } = require('@virtio-platform/core/dma');
${BODY("require('@virtio-platform/core')")}
`;

function profile(name: string, use: string, more: string = ''): string {
  const text = `profile: ${name}
platform: { use: ${use}${more} }
machine: { use: "@virtio-platform/machine-simulated", memory: 4MiB }
device: { type: block, offers: [VERSION_1, ACCESS_PLATFORM] }
queue: { layout: split, size: 16 }
workload: { kind: write-read-verify, requests: 50, depth: 4, blockSize: 4KiB, seed: 1 }
expect: { path: identity }
`;
  const path = join(local, `${name}.yaml`);
  writeFileSync(path, text);
  return path;
}

/** Writes a package with one file to the project's `node_modules`. */
function installPackage(name: string, manifest: object, file: string, text: string): void {
  const folder = join(local, 'node_modules', name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, version: '1.0.0', ...manifest }));
  writeFileSync(join(folder, file), text);
}

/** The file that a folder gets for the name of a package. */
async function where(folder: string, name: string): Promise<string> {
  return (await succeed('node', ['-p', `require.resolve('${name}')`], folder)).trim();
}

beforeAll(async () => {
  local = mkdtempSync(join(global, '..', 'local-'));
  await succeed('npm', ['init', '-y'], local);
  const own = tarballsIn(inject('tarballs')).filter(
    (path) => !/-(?:cli|client|conform|conformance|profile|report|runner|bench)-\d/.test(path),
  );
  await npmInstall(local, own);
});
afterAll(() => rmSync(local, { recursive: true }));

describe('a command that is installed elsewhere than the plugins of a project', () => {
  it('has another core and another tsyringe than they', async () => {
    for (const name of ['tsyringe', '@virtio-platform/core', '@virtio-platform/machine-simulated']) {
      expect(await where(local, name)).toContain(realpathSync(local));
      expect(await where(global, name)).toContain(realpathSync(global));
    }
  });

  it('runs the shipped platforms and the embedded machine of the project', async () => {
    cpSync(join(global, 'node_modules/@virtio-platform/cli/profiles'), join(local, 'profiles'), { recursive: true });
    const names = ['legacy-device', 'pseries-dynamic', 'sev-bounce', 'vfio-worker', 'intel-iommu', 'net', 'refused/*'];
    const files = names.map((name) => `profiles/${name}.yaml`);
    const { status, stdout, stderr } = await runProgram('sh', ['-c', `${command} run ${files.join(' ')}`], local);
    expect([status, stderr, stdout]).toEqual([0, '', expect.stringMatching(/(\d+) of \1 runs as expected/)]);
  });

  it.each([
    ['by path', './own.mjs', []],
    ['by path, in TypeScript under tsx', './own.ts', ['--import', 'tsx']],
    ['by name, as a module', 'own-module', []],
    ['by name, as CommonJS', 'own-common', []],
    ['by name, compiled to CommonJS', 'own-compiled', []],
  ] as const)('runs a platform of the project: %s', async (_, use, words) => {
    writeFileSync(join(local, 'own.mjs'), MODULE);
    const typed = MODULE.replace(
      'constructor(memory, options)',
      'memory: any; options: any; constructor(memory: any, options: any)',
    );
    writeFileSync(join(local, 'own.ts'), typed);
    installPackage('own-module', { type: 'module', exports: './index.js' }, 'index.js', MODULE);
    installPackage('own-common', { main: './index.js' }, 'index.js', `${COMMON}module.exports = plugin;`);
    const compiled = `Object.defineProperty(exports, '__esModule', { value: true });${COMMON}exports.default = plugin;`;
    installPackage('own-compiled', { main: './index.js' }, 'index.js', compiled);
    const main = realpathSync(command);
    // tsx is found from the project that has it.
    const loader = words.map((word) => (word === 'tsx' ? join(global, 'node_modules/tsx/dist/loader.mjs') : word));
    const path = profile(`own-${use.replace(/\W/g, '')}`, use);
    const { status, stdout } = await runProgram('node', [...loader, main, 'run', path, '--json'], local);
    const [report] = JSON.parse(stdout) as Record<string, unknown>[];
    expect([status, report]).toEqual([0, expect.objectContaining({ platform: 'own', path: 'identity', faults: [] })]);
  });

  it('knows the errors of the other copy by their codes', async () => {
    writeFileSync(join(local, 'own.mjs'), MODULE);
    const path = profile('exhausted', './own.mjs', ', exhausted: true');
    const { status, stdout } = await runProgram(command, ['run', path, '--json'], local);
    const [report] = JSON.parse(stdout) as Record<string, unknown>[];
    expect([status, report]).toEqual([
      1,
      expect.objectContaining({ failure: expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED', hint: 'make room' }) }),
    ]);
  });
});
