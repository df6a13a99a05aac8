import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { DeviceWorkerData } from './device-worker.ts';

/**
 * Starts the worker's module, beside this one. From source its thread needs the same loader as the process that runs
 * source.
 */
export function startWorker(workerData: DeviceWorkerData): Worker {
  if (!import.meta.url.endsWith('.ts')) {
    const module = new URL('./device-worker.js', import.meta.url);
    // A thread has Node's options of its process: with this one Node takes text only.
    const takesText = process.execArgv.some((word) => word.startsWith('--input-type'));
    if (takesText) return new Worker(`import('${module.href}')`, { eval: true, workerData });
    return new Worker(module, { workerData });
  }
  // `require` resolves to the loader's CommonJS half; a thread needs the other one, beside it.
  const loader = new URL('index.mjs', pathToFileURL(createRequire(import.meta.url).resolve('tsx/esm/api'))).href;
  const module = new URL('./device-worker.ts', import.meta.url).href;
  const start = `import('${loader}').then((tsx) => { tsx.register(); return import('${module}'); })`;
  return new Worker(start, { eval: true, workerData, execArgv: ['--conditions=@virtio-platform/source'] });
}
