import { DmaError, formatByteSize } from '@virtio-platform/core';
import { RTAS_SUCCESS, type TceFacility } from './tce-facility.ts';
import { TceWindow } from './tce-window.ts';

/**
 * Asks for a 64-bit window of at least `bytes`, as Linux `enable_ddw` does: query, then create. Without `bytes` the window
 * is as large as the machine gives, up to `mostPages`. Throws {@link DmaError} `ERR_DMA_WINDOW`, and then there is none.
 */
export function openDdwWindow(
  facility: TceFacility,
  pageSize: number,
  size: { readonly bytes: number } | { readonly mostPages: number },
): TceWindow {
  const pageShift = Math.log2(pageSize);
  const query = facility.queryWindows();
  if (query.status !== RTAS_SUCCESS) {
    throw windowError(
      `ibm,query-pe-dma-window answers ${query.status}`,
      'the machine has no 64-bit windows; use window.kind: default',
    );
  }
  if (!query.pageShifts.includes(pageShift)) {
    const possible = query.pageShifts.map((shift) => formatByteSize(2 ** shift)).join(', ');
    throw windowError(
      `the machine has no windows with pages of ${formatByteSize(pageSize)}`,
      `window.pageSize can be ${possible}`,
    );
  }
  if (query.available < 1) {
    throw windowError('no further 64-bit window is available', 'another owner holds it; use window.kind: default');
  }
  const mostShift = Math.floor(Math.log2(query.maxEntries));
  const wanted =
    'bytes' in size
      ? Math.max(0, Math.ceil(Math.log2(size.bytes)) - pageShift)
      : Math.min(mostShift, Math.floor(Math.log2(size.mostPages)));
  if (wanted > mostShift) {
    throw windowError(
      `all of memory takes ${2 ** wanted} pages of ${formatByteSize(pageSize)}, and a window has at most ${query.maxEntries}`,
      'raise window.pageSize, or use window.mapping: dynamic',
    );
  }
  const created = facility.createWindow(pageShift, pageShift + wanted);
  if (created.status !== RTAS_SUCCESS || created.window === undefined) {
    throw windowError(
      `ibm,create-pe-dma-window answers ${created.status}`,
      'use a smaller window, or window.kind: default',
    );
  }
  return new TceWindow(facility, created.window);
}

/** A window that cannot be had or set up. */
export function windowError(message: string, hint: string): DmaError {
  return new DmaError('ERR_DMA_WINDOW', `pseries: ${message}`, { hint });
}
