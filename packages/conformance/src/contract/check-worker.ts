import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { skipCheck } from '../contract-check.ts';

/**
 * Starts a module of this folder in a worker, with a loader for TypeScript where it needs one, or the module of the
 * plugin that it loads does. `own` has no ending. Skips the check for TypeScript that this Node cannot load.
 */
export function startCheckWorker(own: string, module: string, workerData: object): Worker {
  const isSource = import.meta.url.endsWith('.ts');
  const file = new URL(`./${own}.${isSource ? 'ts' : 'js'}`, import.meta.url).href;
  const needsLoader = isSource || (/\.[cm]?ts$/.test(module) && !stripsTypes());
  const loader = needsLoader ? findLoader(isSource ? import.meta.url : module) : undefined;
  if (needsLoader && loader === undefined)
    skipCheck(`this Node cannot load ${module} in a worker: build it, or install tsx beside it`);
  const load = loader === undefined ? '' : `(await import(${JSON.stringify(loader)})).register();`;
  const source = `(async () => { ${load} await import(${JSON.stringify(file)}); })()`;
  return new Worker(source, {
    eval: true,
    workerData,
    execArgv: isSource ? ['--conditions=@virtio-platform/source'] : [],
  });
}

/** Whether this Node loads TypeScript by itself. */
function stripsTypes(): boolean {
  return Boolean(Reflect.get(process.features, 'typescript'));
}

/** The loader `tsx` as the module would find it; `undefined` where it is not installed. */
function findLoader(module: string): string | undefined {
  try {
    // `require` resolves to the loader's CommonJS half; a thread needs the other one, beside it.
    const half = createRequire(fileURLToPath(module)).resolve('tsx/esm/api');
    return new URL('index.mjs', pathToFileURL(half)).href;
  } catch {
    return undefined;
  }
}
