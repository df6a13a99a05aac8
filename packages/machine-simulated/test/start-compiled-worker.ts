import { Worker } from 'node:worker_threads';
import type { DeviceWorkerData } from '../src/device-worker.ts';
import { startWorker as startFromSource } from '../src/start-worker.ts';

const WORKER = new URL('../dist/device-worker.js', import.meta.url);

/**
 * Stands in for `src/start-worker.ts` in tests: starts the thread of a device from what `test/build.ts` compiled. From
 * source it takes four times as long, since a loader for TypeScript starts a thread of its own in each. From source
 * where a test has a module of its own.
 */
export function startWorker(data: DeviceWorkerData): Worker {
  const [device, space] = [compiledModule(data.setup.module), compiledModule(data.addressSpace.module)];
  if (device === undefined || space === undefined) return startFromSource(data);
  const workerData: DeviceWorkerData = {
    ...data,
    setup: { ...data.setup, module: device },
    addressSpace: { ...data.addressSpace, module: space },
  };
  return new Worker(WORKER, { workerData, execArgv: [] });
}

/** The compiled form of a package's source; `undefined` for another module. */
function compiledModule(url: string): string | undefined {
  const compiled = url.replace(/\/packages\/([\w-]+)\/src\/(.*)\.ts$/, '/packages/$1/dist/$2.js');
  return compiled === url ? undefined : compiled;
}
