import { formatByteSize } from '@virtio-platform/core/memory';
import { windowError } from '../open-ddw-window.ts';
import { H_SUCCESS, RTAS_SUCCESS, type DmaWindow, type TceFacility } from '../tce-facility.ts';
import { TceWindow } from '../tce-window.ts';
import type { PseriesOptions } from '../pseries-options.ts';
import type { FormerWindows } from './former-windows.ts';

/** Entries that a kernel after a crash needs: of a table that has fewer free ones it takes the last (Linux). */
const KDUMP_MIN_TCE_ENTRIES = 2048;

/** The windows after a kernel took them over. */
export interface TakenWindows {
  /** The 64-bit window of the former owner, where it was kept and still exists. */
  dynamic: DmaWindow | undefined;
  /** Whether what the former owner mapped stays mapped. */
  readonly isHeld: boolean;
  /** By page: 1 for what the former owner mapped in the window that is used; empty unless held. */
  readonly held: Uint8Array;
  /** What was done, for people. */
  readonly summary: string;
}

type TakeoverOptions = Pick<PseriesOptions, 'takeover' | 'window' | 'onHypercallError' | 'multiTce'>;

/**
 * Takes over the tables of a former owner, before any queue uses them. After a kexec each entry is cleared, and a
 * 64-bit window is kept where the options ask for one of its page size and at most its size, or else removed. After a
 * crash, entries that are not zero are held: they stay, and no mapping gets their pages (Linux `iommu_table_clear`).
 * Throws {@link DmaError} `ERR_DMA_WINDOW`.
 */
export function takeOverTables(
  facility: TceFacility,
  former: FormerWindows,
  options: TakeoverOptions,
  memorySize: number,
): TakenWindows {
  return options.takeover === 'kdump'
    ? holdTables(facility, former, options)
    : clearTables(facility, former, options, memorySize);
}

function clearTables(
  facility: TceFacility,
  { dynamic, isDefaultRemoved }: FormerWindows,
  options: TakeoverOptions,
  memorySize: number,
): TakenWindows {
  const { window, onHypercallError } = options;
  const done: string[] = [];
  for (const existing of [...(isDefaultRemoved ? [] : [facility.defaultWindow]), ...(dynamic ? [dynamic] : [])]) {
    const table = new TceWindow(facility, existing, options);
    const status = table.clear(0, table.pages);
    if (status !== H_SUCCESS && onHypercallError === 'fail')
      throw windowError(
        `the hypervisor answers ${status} while the entries of the former owner are cleared`,
        'a device could still reach through them what is now the memory of another: reset the machine',
      );
    done.push(`the ${table.pages} entries of ${nameOf(existing)} were cleared`);
  }
  const isKept =
    dynamic !== undefined &&
    window.kind === 'ddw' &&
    2 ** dynamic.pageShift === window.pageSize &&
    (window.mapping === 'dynamic' || dynamic.size >= memorySize);
  if (dynamic !== undefined && !isKept) removeWindow(facility, dynamic, isDefaultRemoved);
  if (dynamic !== undefined) done.push(isKept ? 'its 64-bit window is used on' : 'its 64-bit window was removed');
  return {
    dynamic: isKept ? dynamic : undefined,
    isHeld: false,
    held: new Uint8Array(0),
    summary: `after kexec: ${done.join('; ')}`,
  };
}

function removeWindow(facility: TceFacility, { liobn }: DmaWindow, isDefaultRemoved: boolean): void {
  const removed = facility.removeWindow(liobn);
  // Where it was the only one, the hypervisor restores the default window; a reset does so for certain.
  const restored = isDefaultRemoved ? (facility.resetWindows?.() ?? RTAS_SUCCESS) : RTAS_SUCCESS;
  if (removed === RTAS_SUCCESS && restored === RTAS_SUCCESS) return;
  throw windowError(
    `the window of the former owner is not removed: the firmware answers ${removed}, and ${restored} to a reset`,
    'use platform.window.kind: ddw with its page size, which keeps the window',
  );
}

function holdTables(
  facility: TceFacility,
  { dynamic, isDefaultRemoved }: FormerWindows,
  options: TakeoverOptions,
): TakenWindows {
  const { kind, mapping, pageSize } = options.window;
  const taken = { dynamic, isHeld: true };
  if (kind === 'default' && isDefaultRemoved)
    throw windowError(
      'the former owner removed the default window, and its 64-bit window is held',
      `use platform.window: { kind: ddw, mapping: dynamic${dynamic ? `, pageSize: ${pageSizeOf(dynamic)}` : ''} }`,
    );
  if (kind === 'ddw' && dynamic === undefined)
    return { ...taken, held: new Uint8Array(0), summary: 'after kdump: the default window is not touched' };
  const existing = kind === 'ddw' ? dynamic! : facility.defaultWindow;
  if (2 ** existing.pageShift !== pageSize)
    throw windowError(
      `the window of the former owner has pages of ${pageSizeOf(existing)}, and it is held`,
      `use platform.window.pageSize: ${pageSizeOf(existing)}` +
        (isDefaultRemoved ? '' : ', or platform.window: { kind: default }'),
    );
  const table = new TceWindow(facility, existing, options);
  const held = heldEntries(table);
  const count = held.reduce((sum, isHeld) => sum + isHeld, 0);
  let summary = `after kdump: ${count} of the ${table.pages} entries of ${nameOf(existing)} are held`;
  if (mapping === 'dynamic' && table.pages - count < KDUMP_MIN_TCE_ENTRIES) {
    const needed = Math.min(KDUMP_MIN_TCE_ENTRIES, table.pages);
    summary += `, except the last ${needed}, which this kernel needs`;
    freeLast(table, held, needed);
  }
  return { ...taken, held, summary };
}

/** By page of a table: 1 where its entry is not zero. */
function heldEntries(table: TceWindow): Uint8Array {
  const held = new Uint8Array(table.pages);
  for (let page = 0; page < table.pages; page++) {
    const entry = table.entry(page);
    if (entry === undefined)
      throw windowError(
        `the hypervisor does not tell entry ${page} of the former owner`,
        'use takeover: kexec, which clears the entries without reading them',
      );
    if (entry[0] !== 0 || entry[1] !== 0) held[page] = 1;
  }
  return held;
}

/** Linux leaves the entries until they are written over; here they are cleared, so that none of them leads anywhere. */
function freeLast(table: TceWindow, held: Uint8Array, count: number): void {
  const first = table.pages - count;
  const status = table.clear(first, count);
  if (status !== H_SUCCESS)
    throw windowError(`the hypervisor answers ${status} while held entries are freed`, 'use a larger window');
  held.fill(0, first);
}

function pageSizeOf({ pageShift }: DmaWindow): string {
  return formatByteSize(2 ** pageShift);
}

function nameOf({ liobn }: DmaWindow): string {
  return `the table 0x${liobn.toString(16)}`;
}
