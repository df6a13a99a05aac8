import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';
import { defaultServerConditions } from 'vite';
import { createVitest, type TestCase, type Vitest } from 'vitest/node';
import { applyMutation, type Mutation } from './mutation.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const SOURCE = '@virtio-platform/source';
/** Tests of these names run their device in a worker, which loads its sources itself: no mutation gets there. */
const UNREACHED = 'device in worker';
/** Longer than the tests of any mutation. */
const TIMEOUT_MS = 120_000;

/** What a run of tests saw: of each that ran, its full name and whether it passed. */
export interface TestRun {
  readonly tests: readonly { readonly name: string; readonly file: string; readonly isPassed: boolean }[];
  /** What failed outside of any test. */
  readonly errors: readonly string[];
}

/**
 * Runs tests over sources of which one is mutated as it is loaded; nothing on disk changes. One vitest serves all runs,
 * since starting it takes longer than the tests of a mutation.
 */
export class TestBench {
  readonly #vitest: Vitest;
  readonly #applied: { mutation: Mutation | undefined };

  constructor(vitest: Vitest, applied: { mutation: Mutation | undefined }) {
    this.#vitest = vitest;
    this.#applied = applied;
  }

  static async open(): Promise<TestBench> {
    const applied = { mutation: undefined };
    const vitest = await createVitest(
      'test',
      {
        root: ROOT,
        config: false,
        watch: false,
        reporters: [{}],
        include: ['packages/*/test/**/*.test.ts'],
        setupFiles: ['reflect-metadata'],
        pool: 'threads',
        // One import of the sources serves all files of a run. The next run has other workers, and so other sources.
        isolate: false,
        execArgv: [`--conditions=${SOURCE}`],
      },
      { ssr: { resolve: { conditions: [SOURCE, ...defaultServerConditions] } }, plugins: [mutate(applied)] },
    );
    await vitest.standalone();
    return new TestBench(vitest, applied);
  }

  /**
   * Runs the tests of `files`, which are relative to the repository, whose names match `names`. Throws when the
   * mutation does not fit its source, and when the tests never end.
   */
  async run(files: readonly string[], names: RegExp, mutation?: Mutation): Promise<TestRun> {
    if (mutation !== undefined) {
      if (applyMutation(readFileSync(pathOf(mutation), 'utf8'), mutation) === undefined)
        throw new Error(`${mutation.name}: adapt it to packages/${mutation.file}, where it is not there just once`);
      this.#vitest.invalidateFile(pathOf(mutation));
    }
    this.#applied.mutation = mutation;
    this.#vitest.setGlobalTestNamePattern(new RegExp(`^(?!.*${UNREACHED}).*${names.source}`));
    const project = this.#vitest.getRootProject();
    const specifications = files.map((file) => project.createSpecification(ROOT + file));
    const timer = setTimeout(() => {
      throw new Error(`${mutation?.name ?? 'no mutation'}: the tests do not end; a mutation has to let them fail`);
    }, TIMEOUT_MS);
    try {
      const { testModules, unhandledErrors } = await this.#vitest.runTestSpecifications(specifications);
      const tests = testModules.flatMap((module) => [...module.children.allTests()]).filter(hasRun);
      return {
        tests: tests.map((test) => ({
          name: test.fullName,
          file: test.module.relativeModuleId,
          isPassed: test.result().state === 'passed',
        })),
        errors: [...unhandledErrors, ...testModules.flatMap((module) => module.errors())].map(String),
      };
    } finally {
      clearTimeout(timer);
      this.#applied.mutation = undefined;
      if (mutation !== undefined) this.#vitest.invalidateFile(pathOf(mutation));
    }
  }

  async close(): Promise<void> {
    await this.#vitest.close();
  }
}

function mutate(applied: { readonly mutation: Mutation | undefined }): Plugin {
  return {
    name: 'mutation',
    enforce: 'pre',
    transform(code, id) {
      const { mutation } = applied;
      return mutation !== undefined && id === pathOf(mutation) ? applyMutation(code, mutation) : undefined;
    },
  };
}

function pathOf({ file }: Mutation): string {
  return `${ROOT}packages/${file}`;
}

function hasRun(test: TestCase): boolean {
  return test.result().state === 'passed' || test.result().state === 'failed';
}
