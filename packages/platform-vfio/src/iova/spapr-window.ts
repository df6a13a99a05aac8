import { DmaError } from '@virtio-platform/core';
import { formatByteSize } from '@virtio-platform/core/memory';
import { EINVAL, ENOMEM, EPERM, errnoName } from '../container/errno.ts';
import { fewestLevels, LARGEST_LEVEL, tceLevelBytes, tceTableBytes, type WindowSize } from '../container/tce-table.ts';
import { DEFAULT_WINDOW_PAGE_SIZE, type SpaprContainer } from '../container/vfio-container.ts';
import { explainRefusal, type IovaWindow, type RefusedMapping } from './iova-window.ts';
import { memoryLockNeeds, type LockRequest } from './memory-lock-needs.ts';

/** A window of version 2 to be created. */
export interface WindowRequest extends WindowSize {
  /** Levels of its table; `undefined` for as few as the kernel has memory for. */
  readonly levels?: number | undefined;
}

interface Window extends WindowSize {
  readonly start: number;
}

/** What a window has locked, and how to need less of it. In bytes. */
interface WindowLocks {
  readonly own: number;
  /** What the first mapping locks: the table of the default window of version 2. */
  readonly first: number;
  readonly less: string;
}

const LESS_WINDOW = 'use a smaller window (platform.defaultWindowSize on the simulated machine)';
const FEWER_TCES = 'use fewer TCEs (a smaller platform.window.size, or a larger pageSize)';
const LESS_MEMORY = 'give the process less memory (machine.memory), all of which is registered';

/** One window of bus addresses, after the steps that its container requires before mapping. */
export class SpaprWindow implements IovaWindow {
  readonly pageSize: number;
  readonly ranges: IovaWindow['ranges'];
  readonly more: string;
  readonly close: () => void;
  readonly #container: SpaprContainer;
  #locks: WindowLocks;

  private constructor(
    container: SpaprContainer,
    window: Window,
    terms: { readonly locks: WindowLocks; readonly close: () => void },
  ) {
    const isDefault = window.start === 0;
    this.pageSize = window.pageSize;
    this.ranges = [window];
    this.more = isDefault ? 'enlarge platform.defaultWindowSize (simulated machine)' : 'enlarge platform.window.size';
    this.close = terms.close;
    this.#container = container;
    this.#locks = terms.locks;
  }

  /**
   * Version 1: enables the container, which accounts as much locked memory as the whole window can map. Throws {@link
   * DmaError}.
   */
  static enable(container: SpaprContainer): SpaprWindow {
    const window = defaultWindow(container);
    const less = LESS_WINDOW;
    check(container, container.enable(), 'enable the container', { own: 0, wanted: window.size, less });
    const locks = { own: window.size, first: 0, less };
    return new SpaprWindow(container, window, { locks, close: () => container.disable() });
  }

  /**
   * Version 2: registers all memory of the process once, so that mappings pin nothing themselves; then creates a
   * window, or uses the default one, which the kernel creates at the first mapping. Throws {@link DmaError}, and then
   * nothing is registered.
   */
  static register(container: SpaprContainer, memorySize: number, request: WindowRequest | undefined): SpaprWindow {
    // The tables are locked in later steps, and the limit that the first step is told has to be enough for them too.
    const defaultTable = tceTableBytes(defaultWindow(container), 1);
    const wanted = memorySize + defaultTable + (request === undefined ? 0 : leastTableBytes(container, request));
    const registered = container.registerMemory(0, memorySize);
    check(container, registered, `register ${memorySize} bytes of memory`, { own: 0, wanted, less: LESS_MEMORY });
    const unregister = (): number => container.unregisterMemory(0, memorySize);
    if (request === undefined) {
      const locks = { own: memorySize, first: defaultTable, less: `${LESS_MEMORY}, or ${LESS_WINDOW}` };
      return new SpaprWindow(container, defaultWindow(container), { locks, close: unregister });
    }
    try {
      return SpaprWindow.#create(container, memorySize + defaultTable, request, unregister);
    } catch (error) {
      unregister();
      throw error;
    }
  }

  /** `own` is what is locked without the table: the kernel creates the default window before the first other one. */
  static #create(container: SpaprContainer, own: number, request: WindowRequest, unregister: () => void): SpaprWindow {
    const { start, levels } = createWindow(container, own, request);
    const size = `${formatByteSize(request.size)} in pages of ${formatByteSize(request.pageSize)}`;
    const step = `create a window of ${size} with a table of ${levels} ${levels === 1 ? 'level' : 'levels'}`;
    const table = tceTableBytes(request, levels);
    checkLevel(request, start, levels, step);
    const less = `${LESS_MEMORY}, or ${FEWER_TCES}`;
    check(container, start, step, { own, wanted: table, less }, request.levels);
    return new SpaprWindow(
      container,
      { ...request, start },
      {
        locks: { own: own + table, first: 0, less },
        close: () => {
          container.removeWindow(start);
          unregister();
        },
      },
    );
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
    const { own, first, less } = this.#locks;
    // Once something is mapped the default window has its table.
    const [locked, wanted] = refused.pinnedBytes > 0 ? [own + first, 0] : [own, first];
    return explainRefusal({ ...refused, lock: { own: locked, wanted, less } }, this.#container.info());
  }
}

/**
 * Throws where the kernel has no memory for a level, whatever the limit is: it keeps what it counted for the table, so
 * that the limit seems to be too low.
 */
function checkLevel(request: WindowRequest, start: number, levels: number, step: string): void {
  if (start !== ENOMEM || tceLevelBytes(request, levels) <= LARGEST_LEVEL) return;
  throw new DmaError('ERR_DMA_EXHAUSTED', `cannot ${step}: ENOMEM`, {
    hint:
      `a level of a table has at most ${formatByteSize(LARGEST_LEVEL)}: use more platform.window.levels, or ` +
      FEWER_TCES,
  });
}

function leastTableBytes(container: SpaprContainer, request: WindowRequest): number {
  return tceTableBytes(request, request.levels ?? fewestLevels(request, container.info().maxLevels));
}

/** Whether so many more bytes than the `own` are within the memory-lock limit, as far as the kernel tells. */
function mayLock(container: SpaprContainer, own: number, bytes: number): boolean {
  const { memoryLockLimit = Infinity, lockedBytes = 0 } = container.info();
  return Math.max(lockedBytes, own) + bytes <= memoryLockLimit;
}

/**
 * Creates a window. Unless the levels of its table are given it has as few as it can, since more of them cost the
 * device more reads, and the kernel keeps what it counted for a table that it could then not allocate.
 */
function createWindow(
  container: SpaprContainer,
  own: number,
  request: WindowRequest,
): { start: number; levels: number } {
  const most = container.info().maxLevels;
  let levels = request.levels ?? fewestLevels(request, most);
  for (;;) {
    const start = container.createWindow(Math.log2(request.pageSize), request.size, levels);
    const mayRetry = start === ENOMEM && request.levels === undefined && levels < most;
    if (!mayRetry || !mayLock(container, own, tceTableBytes(request, levels + 1))) return { start, levels };
    levels++;
  }
}

function defaultWindow(container: SpaprContainer): Window {
  return { start: 0, size: container.info().defaultWindowSize, pageSize: DEFAULT_WINDOW_PAGE_SIZE };
}

/** Throws where the kernel refused a step before the first mapping, which locks what `lock` says. */
function check(container: SpaprContainer, result: number, step: string, lock: LockRequest, levels?: number): void {
  if (result >= 0) return;
  const what = `cannot ${step}: ${errnoName(result)}`;
  if (result === ENOMEM) {
    const { state, hint } = memoryLockNeeds(container.info(), lock);
    throw new DmaError('ERR_DMA_EXHAUSTED', what, { hint: `${hint}; ${state}` });
  }
  const hint =
    result === EINVAL && levels !== undefined
      ? 'tables of so many levels may translate more bits than an address has: leave platform.window.levels out'
      : 'something else uses this container, or it does not have such a window; see platform.window';
  throw new DmaError('ERR_DMA_RANGE', what, { hint });
}
