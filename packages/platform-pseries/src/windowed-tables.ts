import type { DmaWindow, WindowQuery } from './tce-facility.ts';
import { TceWindows, type CreatedWindow, type TceWindowsOptions, type TceWindowTables } from './tce-windows.ts';

/**
 * TCE tables in software with the DMA windows of {@link TceWindows}: the base of a facility that keeps its own tables.
 * A subclass implements how the table of a window is opened and closed, and calls {@link startWindows} once its tables
 * exist.
 */
export abstract class WindowedTables implements TceWindowTables {
  #windows: TceWindows | undefined;

  abstract get isFrozen(): boolean;
  abstract openWindow(number: number, window: DmaWindow): void;
  abstract closeWindow(number: number): void;

  /** Opens the default window. */
  protected startWindows(options: TceWindowsOptions): void {
    this.#windows = new TceWindows(this, options);
    this.#windows.start();
  }

  get defaultWindow(): DmaWindow {
    return this.#windows!.defaultWindow;
  }

  queryWindows(): WindowQuery {
    return this.#windows!.query();
  }

  createWindow(pageShift: number, windowShift: number): CreatedWindow {
    return this.#windows!.create(pageShift, windowShift);
  }

  removeWindow(liobn: number): number {
    return this.#windows!.remove(liobn);
  }

  resetWindows(): number {
    return this.#windows!.reset();
  }
}
