import { Worker } from 'node:worker_threads';
import { startCheckWorker as startFromSource } from '../../packages/conformance/src/contract/check-worker.ts';
import { compiledModule } from './compiled-modules.ts';

const FOLDER = new URL('../../packages/conformance/dist/contract/', import.meta.url);

/** Starts a module of the contracts in a worker, from compiled modules where the plugin's is one of this repository. */
export function startCheckWorker(own: string, module: string, workerData: object): Worker {
  const compiled = compiledModule(module);
  if (compiled === undefined) return startFromSource(own, module, workerData);
  return new Worker(new URL(`./${own}.js`, FOLDER), { workerData: { ...workerData, module: compiled }, execArgv: [] });
}
