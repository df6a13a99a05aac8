import { fileURLToPath } from 'node:url';
import { defaultServerConditions } from 'vite';
import { defineConfig } from 'vitest/config';

/** Tests run from TypeScript source, without a build: one export condition selects `src`. */
const SOURCE = '@virtio-platform/source';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  ssr: { resolve: { conditions: [SOURCE, ...defaultServerConditions] } },
  test: {
    // Every core: without a terminal vitest leaves one idle, which is half of a small machine.
    maxWorkers: '100%',
    setupFiles: ['reflect-metadata'],
    execArgv: [`--conditions=${SOURCE}`],
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['packages/*/test/**/*.test.ts'], testTimeout: 30_000, hookTimeout: 30_000 },
      },
      {
        extends: true,
        test: { name: 'system', include: ['test/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 120_000 },
      },
    ],
  },
});
