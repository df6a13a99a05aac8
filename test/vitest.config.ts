import { constants } from 'node:buffer';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultServerConditions, type Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The export condition that selects `src` in place of what is built. */
const SOURCE = '@virtio-platform/source';

/**
 * Test files that need a process of their own: they replace functions of the runtime, set the environment, start
 * threads, back-ends or QEMU, or are fast only while their call sites see few classes.
 */
const ISOLATED = [
  'packages/bench/test/**/*.test.ts',
  'packages/conformance/test/**/*.test.ts',
  'packages/machine-*/test/**/*.test.ts',
  'packages/core/test/queue/ordered-ring.test.ts',
  'packages/session/test/device-session.test.ts',
];

/** Tests of the whole that need source: its lines, plugins in TypeScript, a container that they watch. */
const NEEDS_SOURCE = [
  'test/sanitizer/report.test.ts',
  'test/profiles/lying-console.test.ts',
  'test/failures/recorded-faults.test.ts',
  'test/plugins/composition.test.ts',
];

/**
 * Folders of system tests that run profiles in their own process, and change nothing of it: they share a process, which
 * imports what they need once.
 */
const SHARED_SYSTEM = [
  'test/{borders,decision-table,failures,house,plugins,profiles,sanitizer}/**/*.test.ts',
  'test/error-codes.test.ts',
];

/**
 * The files that take longest, in this order, so that none of them starts when the other workers are about to end.
 * Those of one project stand together: a worker that shares its process ends where the next file is of another project.
 */
const LONGEST = [
  'machines/vhost-user.test.ts',
  'packed/new-package.test.ts',
  'machines/qemu.test.ts',
  'machines/conform.test.ts',
  'linux-guest/linux-features.test.ts',
  'machines/vfio-device.test.ts',
  'wrong-back-end/protocol-cases.test.ts',
  'packages/bench/test/allocation.test.ts',
  'packages/machine-vhost-user/test/back-end/back-end-faults.test.ts',
  'packed/outside-projects.test.ts',
  'packed/second-copy.test.ts',
  'wrong-back-end/first-lines.test.ts',
  'wrong-back-end/sanitized-back-end.test.ts',
  'linux-guest/served-devices.test.ts',
  'linux-guest/served-lives.test.ts',
  'machines/serve.test.ts',
  'wrong-back-end/wrong-back-end.test.ts',
  'large-guests/large-guests.test.ts',
  'docs/examples.test.ts',
  'linux-guest/linux-guest.test.ts',
  'linux-guest/vfio-guest.test.ts',
  'packed/installed.test.ts',
  'packed/node-releases.test.ts',
  'api-docs/api-docs.test.ts',
  'machines/client.test.ts',
  'command/npm.test.ts',
  'packages/bench/test/main.test.ts',
  'packages/machine-simulated/test/interrupted-device.test.ts',
  'packages/conformance/test/handshake.test.ts',
  'packages/conformance/test/handshake-batches.test.ts',
  'packages/machine-vhost-user/test/iotlb/net-echo.test.ts',
  'packages/machine-qemu/test/qemu-machine.test.ts',
  'plugins/broken-plugins.test.ts',
  'sanitizer/shipped-drivers.test.ts',
  'plugins/conformance.test.ts',
  'profiles/ring-layouts.test.ts',
  'failures/small-window.test.ts',
  'profiles/variant-profiles.test.ts',
  'failures/pseries-failures.test.ts',
];

/** The place of a file in {@link LONGEST}; files that are not in it come last. */
function rankOf({ moduleId }: TestSpecification): number {
  const at = LONGEST.findIndex((name) => moduleId.endsWith(`/${name}`));
  return at < 0 ? LONGEST.length : at;
}

/** Starts the longest files first, whether or not the durations of an earlier run are known. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- the sequencer's method of that name
    const sorted = await super.sort(files);
    return sorted.toSorted((one, other) => rankOf(one) - rankOf(other));
  }
}

/** Node 20 has arrays of at most 4 GiB. `large-guests.test.ts` runs these files with a Node that has larger ones. */
const hasLargeArrays = constants.MAX_LENGTH > 2 ** 32;
const NEEDS_LARGE_ARRAYS = ['test/large-guests/above-4gib.test.ts'];

/** Takes a guest for itself, and time: `npm run reconnect` runs it. */
const KILLED_GUEST = process.env['RECONNECTS'] === undefined ? ['test/linux-guest/killed-device.test.ts'] : [];

/** The tests of what is published. They share tarballs, which are packed once, and only when one of them runs. */
const PACKED = 'test/packed/**/*.test.ts';

const UNIT = { testTimeout: 30_000, hookTimeout: 30_000 };
const SYSTEM = { testTimeout: 120_000, hookTimeout: 120_000 };

/** The modules that start threads from source, and what starts the same threads from compiled modules. */
const COMPILED_STARTS: ReadonlyMap<string, string> = new Map(
  [
    ['machine-simulated/src/start-worker.ts', 'machine-simulated/test/start-compiled-worker.ts'],
    ['conformance/src/contract/check-worker.ts', 'conformance/test/start-compiled-check-worker.ts'],
  ].map(([source, compiled]) => [packagePath(source!), packagePath(compiled!)]),
);

function packagePath(path: string): string {
  return fileURLToPath(new URL(`../packages/${path}`, import.meta.url));
}

/** Lets tests start threads from compiled modules. What stands in for a module can import that module. */
const compiledWorkers: Plugin = {
  name: 'compiled-workers',
  enforce: 'pre',
  resolveId(name, importer) {
    if (importer === undefined || !name.startsWith('.')) return undefined;
    const compiled = COMPILED_STARTS.get(resolve(dirname(importer), name));
    return compiled === importer ? undefined : compiled;
  },
};

/**
 * Tests of threads, back-ends, QEMU and guests depend on when the machine runs what. CI tries one that failed once
 * more; elsewhere a test that fails at times is seen to fail.
 */
const WITH_PROGRAMS = { retry: process.env['CI'] === undefined ? 0 : 1 };

const SEEDED = fileURLToPath(new URL('seeded-fast-check.ts', import.meta.url));

/** Gives properties a seed in CI. */
const seededProperties: Plugin = {
  name: 'seeded-properties',
  enforce: 'pre',
  resolveId: (name, importer) =>
    name === 'fast-check' && importer !== SEEDED && process.env['CI'] !== undefined ? SEEDED : undefined,
};

/** Tests of the whole import packages as they are published. To import each from source takes a second longer. */
const BUILT = { deps: { external: [/packages\/[^/]+\/dist\//] } };
/** Tests of a package import its source, and what it needs from source too: so there is one of each module. */
const FROM_SOURCE = { ssr: { resolve: { conditions: [SOURCE, ...defaultServerConditions] } } };
const SOURCE_ARGV = [`--conditions=${SOURCE}`];

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  plugins: [compiledWorkers, seededProperties],
  test: {
    // Every core: without a terminal vitest leaves one idle, which is half of a small machine.
    maxWorkers: '100%',
    sequence: { sequencer: LongestFirst },
    // A process that held much memory takes longer than ten seconds to end on a busy machine.
    teardownTimeout: 60_000,
    globalSetup: fileURLToPath(new URL('build.ts', import.meta.url)),
    setupFiles: ['reflect-metadata'],
    projects: [
      {
        extends: true,
        ...FROM_SOURCE,
        // One process and one import of each module for many files: most of these take less than a tenth of a second.
        test: {
          ...UNIT,
          execArgv: SOURCE_ARGV,
          name: 'unit',
          // Those of the templates run in the packages that `test/packed/new-package.test.ts` makes of them.
          include: ['packages/*/test/**/*.test.ts'],
          exclude: ISOLATED,
          isolate: false,
        },
      },
      {
        extends: true,
        ...FROM_SOURCE,
        test: {
          ...UNIT,
          ...WITH_PROGRAMS,
          execArgv: SOURCE_ARGV,
          name: 'unit-isolated',
          include: [...ISOLATED, ...NEEDS_SOURCE],
        },
      },
      {
        extends: true,
        test: {
          ...SYSTEM,
          server: BUILT,
          name: 'system',
          include: SHARED_SYSTEM,
          exclude: NEEDS_SOURCE,
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          ...SYSTEM,
          ...WITH_PROGRAMS,
          server: BUILT,
          name: 'system-isolated',
          include: ['test/**/*.test.ts'],
          exclude: [PACKED, ...KILLED_GUEST, ...SHARED_SYSTEM, ...(hasLargeArrays ? [] : NEEDS_LARGE_ARRAYS)],
        },
      },
      {
        extends: true,
        test: {
          server: BUILT,
          name: 'packed',
          include: [PACKED],
          globalSetup: fileURLToPath(new URL('packed/global-setup.ts', import.meta.url)),
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
