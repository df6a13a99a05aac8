import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** How much the heap grew while something ran. */
export interface HeapGrowth {
  readonly bytes: number;
  /** Garbage collections meanwhile. More than 0 make `bytes` worthless: give the process a larger young generation. */
  readonly collections: number;
}

/**
 * Measures the heap before and after `run`, from a collected heap. The process has to be started with `--expose-gc`.
 */
export async function measureHeapGrowth(run: () => void): Promise<HeapGrowth> {
  if (globalThis.gc === undefined) throw new TypeError('start node with --expose-gc');
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  globalThis.gc();
  await nextTurn();
  observer.observe({ entryTypes: ['gc'] });
  const before = process.memoryUsage().heapUsed;
  run();
  const bytes = process.memoryUsage().heapUsed - before;
  await nextTurn();
  observer.disconnect();
  return { bytes, collections };
}
