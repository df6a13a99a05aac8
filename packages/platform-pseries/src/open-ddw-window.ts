import { DmaError } from '@virtio-platform/core';
import { formatByteSize } from '@virtio-platform/core/memory';
import { RTAS_SUCCESS, type DmaWindow, type TceFacility, type WindowQuery } from './tce-facility.ts';
import { TceWindow } from './tce-window.ts';

/** The size that a window must have, or the most pages of a window that is as large as the machine allows. */
export type DdwSize = { readonly bytes: number } | { readonly mostPages: number };

/** The section of the profile with the window of the platform, for hints. */
export const WINDOW_SECTION = 'platform.window';

/**
 * Opens a 64-bit window as Linux `enable_ddw` does: query, then create. Where the machine has no further window, the
 * default one is removed first: no queue uses it yet. If the new window cannot be created, a reset restores the default
 * one alone. Throws {@link DmaError} `ERR_DMA_WINDOW`, and then no window is created.
 */
export function openDdwWindow(
  facility: TceFacility,
  pageSize: number,
  size: DdwSize,
  options: { readonly multiTce?: boolean; readonly section?: string } = {},
): TceWindow {
  const { section = WINDOW_SECTION } = options;
  const open = (answer: WindowQuery): TceWindow =>
    new TceWindow(facility, createDdwWindow(facility, answer, { pageSize, size, section }), options);
  const answer = query(facility, section);
  if (answer.available > 0) return open(answer);
  if (facility.resetWindows === undefined) {
    throw windowError(
      'no further 64-bit window is available',
      `another owner holds it, or the machine cannot restore the default one; use ${section}.kind: default`,
    );
  }
  const { defaultWindow } = facility;
  const removed = facility.removeWindow(defaultWindow.liobn);
  if (removed !== RTAS_SUCCESS) {
    throw windowError(
      `ibm,remove-pe-dma-window answers ${removed} for the default window`,
      `use ${section}.kind: default`,
    );
  }
  try {
    return open(query(facility, section));
  } catch (error) {
    facility.resetWindows();
    throw error;
  }
}

function createDdwWindow(
  facility: TceFacility,
  { available, maxEntries, pageShifts }: WindowQuery,
  { pageSize, size, section }: { readonly pageSize: number; readonly size: DdwSize; readonly section: string },
): DmaWindow {
  const pageShift = Math.log2(pageSize);
  if (!pageShifts.includes(pageShift)) {
    const possible = pageShifts.map((shift) => formatByteSize(2 ** shift)).join(', ');
    throw windowError(
      `the machine has no windows with pages of ${formatByteSize(pageSize)}`,
      `${section}.pageSize can be ${possible}`,
    );
  }
  if (available < 1) {
    throw windowError('no further 64-bit window is available', `another owner holds it; use ${section}.kind: default`);
  }
  const mostShift = Math.floor(Math.log2(maxEntries));
  const wanted =
    'bytes' in size
      ? Math.max(0, Math.ceil(Math.log2(size.bytes)) - pageShift)
      : Math.min(mostShift, Math.floor(Math.log2(size.mostPages)));
  if (wanted > mostShift) {
    throw windowError(
      `all of memory takes ${2 ** wanted} pages of ${formatByteSize(pageSize)}, and a window has at most ${maxEntries}`,
      `raise ${section}.pageSize, or use ${section}.mapping: dynamic`,
    );
  }
  const created = facility.createWindow(pageShift, pageShift + wanted);
  if (created.status !== RTAS_SUCCESS || created.window === undefined) {
    throw windowError(
      `ibm,create-pe-dma-window answers ${created.status}`,
      `use a smaller window, or ${section}.kind: default`,
    );
  }
  checkWindow(facility, created.window, section);
  return created.window;
}

/** Throws for a window that the hypervisor places where bus addresses of 64 bits cannot be, or inside a page. */
function checkWindow(facility: TceFacility, { liobn, base, size, pageShift }: DmaWindow, section: string): void {
  const isInside = base >= 0n && base + BigInt(size) <= 2n ** 64n;
  if (isInside && base % (1n << BigInt(pageShift)) === 0n) return;
  facility.removeWindow(liobn);
  throw windowError(
    `ibm,create-pe-dma-window answers a window of ${formatByteSize(size)} at 0x${base.toString(16)}, which is impossible`,
    `the hypervisor is broken; use ${section}.kind: default`,
  );
}

function query(facility: TceFacility, section: string): WindowQuery {
  const answer = facility.queryWindows();
  if (answer.status === RTAS_SUCCESS) return answer;
  throw windowError(
    `ibm,query-pe-dma-window answers ${answer.status}`,
    `the machine has no 64-bit windows; use ${section}.kind: default`,
  );
}

/** The error for a window that cannot be created or filled. */
export function windowError(message: string, hint: string): DmaError {
  return new DmaError('ERR_DMA_WINDOW', `pseries: ${message}`, { hint });
}
