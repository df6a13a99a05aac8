import { Worker } from 'node:worker_threads';
import { startCheckWorker as startFromSource } from '../src/contract/check-worker.ts';

const FOLDER = new URL('../dist/contract/', import.meta.url);

/**
 * Stands in for `src/contract/check-worker.ts` in tests: starts a module of the contracts from what `test/build.ts`
 * compiled where the plugin's module is the source of a package here.
 */
export function startCheckWorker(own: string, module: string, workerData: object): Worker {
  const compiled = module.replace(/\/packages\/([\w-]+)\/src\/(.*)\.ts$/, '/packages/$1/dist/$2.js');
  if (compiled === module) return startFromSource(own, module, workerData);
  return new Worker(new URL(`./${own}.js`, FOLDER), { workerData: { ...workerData, module: compiled }, execArgv: [] });
}
