import { DmaError } from '@virtio-platform/core';
import { formatByteSize } from '@virtio-platform/core/memory';
import { ENOMEM, EPERM, errnoName } from '../container/errno.ts';
import { fewestLevels, tceTableBytes, type WindowSize } from '../container/tce-table.ts';
import { DEFAULT_WINDOW_PAGE_SIZE, type SpaprContainer } from '../container/vfio-container.ts';
import { explainRefusal, type IovaWindow, type RefusedMapping } from './iova-window.ts';
import { memoryLockNeeds } from './memory-lock-needs.ts';

/** A window of version 2 to be created. */
export interface WindowRequest extends WindowSize {
  /** Levels of its table; `undefined` for as few as the kernel has memory for. */
  readonly levels?: number | undefined;
}

interface Window extends WindowSize {
  readonly start: number;
}

/** One window of bus addresses, after the steps that its container requires before mapping. */
export class SpaprWindow implements IovaWindow {
  readonly pageSize: number;
  readonly ranges: IovaWindow['ranges'];
  readonly close: () => void;
  readonly #container: SpaprContainer;

  private constructor(container: SpaprContainer, window: Window, close: () => void) {
    this.pageSize = window.pageSize;
    this.ranges = [window];
    this.close = close;
    this.#container = container;
  }

  /**
   * Version 1: enables the container, which accounts as much locked memory as the whole window can map. Throws {@link
   * DmaError}.
   */
  static enable(container: SpaprContainer): SpaprWindow {
    const window = defaultWindow(container);
    check(container, container.enable(), 'enable the container', { own: 0, wanted: window.size });
    return new SpaprWindow(container, window, () => container.disable());
  }

  /**
   * Version 2: registers all memory of the process once, so that mappings pin nothing themselves; then creates a
   * window, or uses the default one, which the kernel creates at the first mapping. Throws {@link DmaError}, and then
   * nothing is registered.
   */
  static register(container: SpaprContainer, memorySize: number, request: WindowRequest | undefined): SpaprWindow {
    const registered = container.registerMemory(0, memorySize);
    check(container, registered, `register ${memorySize} bytes of memory`, { own: 0, wanted: memorySize });
    const unregister = (): number => container.unregisterMemory(0, memorySize);
    if (request === undefined) return new SpaprWindow(container, defaultWindow(container), unregister);
    try {
      const { start, levels } = createWindow(container, request);
      const size = `${formatByteSize(request.size)} in pages of ${formatByteSize(request.pageSize)}`;
      const step = `create a window of ${size} with a table of ${levels} ${levels === 1 ? 'level' : 'levels'}`;
      // The kernel creates the default window and its table before the first other one.
      const own = memorySize + tceTableBytes(defaultWindow(container), 1);
      const also = '; or a table with more levels (platform.window.levels) or fewer TCEs';
      check(container, start, step, { own, wanted: tceTableBytes(request, levels), also });
      return new SpaprWindow(container, { ...request, start }, () => {
        container.removeWindow(start);
        unregister();
      });
    } catch (error) {
      unregister();
      throw error;
    }
  }

  map(address: number, iova: number, size: number, flags: number): number {
    return this.#container.mapDma(address, iova, size, flags);
  }

  unmap(iova: number, size: number): boolean {
    return this.#container.unmapDma(iova, size) === 0;
  }

  explain(refused: RefusedMapping): DmaError {
    if (refused.errno === EPERM) {
      return new DmaError('ERR_DMA_RANGE', `cannot map through TCEs of ${formatByteSize(this.pageSize)}: EPERM`, {
        hint:
          'the pages of this memory are smaller, and a device would reach their neighbours: use smaller pages in ' +
          'platform.window, or huge pages (platform.backingPageSize on the simulated machine)',
      });
    }
    return explainRefusal(refused, this.#container.info());
  }
}

/** Whether so many more bytes are within the memory-lock limit, as far as the kernel tells. */
function mayLock(container: SpaprContainer, bytes: number): boolean {
  const { memoryLockLimit = Infinity, lockedBytes = 0 } = container.info();
  return lockedBytes + bytes <= memoryLockLimit;
}

/**
 * Creates a window. Unless the levels of its table are given it has as few as it can, since more of them cost the
 * device more reads, and the kernel keeps what it counted for a table that it could then not allocate.
 */
function createWindow(container: SpaprContainer, request: WindowRequest): { start: number; levels: number } {
  const most = container.info().maxLevels;
  let levels = request.levels ?? fewestLevels(request, most);
  for (;;) {
    const start = container.createWindow(Math.log2(request.pageSize), request.size, levels);
    const mayRetry = start === ENOMEM && request.levels === undefined && levels < most;
    if (!mayRetry || !mayLock(container, tceTableBytes(request, levels + 1))) return { start, levels };
    levels++;
  }
}

function defaultWindow(container: SpaprContainer): Window {
  return { start: 0, size: container.info().defaultWindowSize, pageSize: DEFAULT_WINDOW_PAGE_SIZE };
}

/**
 * Throws where the kernel refused a step before the first mapping. The container has locked `own` bytes, and the step
 * locks `wanted` more.
 */
function check(
  container: SpaprContainer,
  result: number,
  step: string,
  { own, wanted, also = '' }: { readonly own: number; readonly wanted: number; readonly also?: string },
): void {
  if (result >= 0) return;
  const what = `cannot ${step}: ${errnoName(result)}`;
  if (result === ENOMEM) {
    const { state, hint } = memoryLockNeeds(container.info(), own, wanted);
    throw new DmaError('ERR_DMA_EXHAUSTED', what, { hint: `${hint}${also}; ${state}` });
  }
  throw new DmaError('ERR_DMA_RANGE', what, {
    hint: 'something else uses this container, or it does not have such a window; see platform.window',
  });
}
