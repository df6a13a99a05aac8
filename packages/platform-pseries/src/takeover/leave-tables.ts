import { DmaError } from '@virtio-platform/core';
import { DmaDirection } from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import type { Takeover } from '@virtio-platform/options';
import { DirectTceWindow } from '../direct-tce-window.ts';
import { DynamicTceWindow } from '../dynamic-tce-window.ts';
import { openDdwWindow, windowError, type DdwSize } from '../open-ddw-window.ts';
import { dynamicPages } from '../opened-window.ts';
import { H_SUCCESS, type TceFacility } from '../tce-facility.ts';
import { TceWindow } from '../tce-window.ts';
import type { FormerWindows } from './former-windows.ts';
import type { FormerOwnerOptions } from './takeover-options.ts';

/** The section of the profile with the window of the kernel before, for hints. */
const FORMER_WINDOW = 'platform.formerOwner.window';

/**
 * Does to the tables what the kernel before did, as far as it left it: creates its window and maps its buffers, with
 * both permissions. After a `kexec` the memory of the buffers is free again, so that the next kernel uses it; of a
 * `kdump` it stays the memory of the kernel that crashed. Throws {@link DmaError}.
 */
export function leaveTables(
  facility: TceFacility,
  memory: GuestMemory,
  { window, buffers }: FormerOwnerOptions,
  takeover: Takeover,
): FormerWindows {
  const { kind, mapping, pageSize } = window;
  const isDdw = kind === 'ddw';
  const isDefaultRemoved = isDdw && facility.queryWindows().available === 0;
  const size: DdwSize = mapping === 'linear' ? { bytes: memory.size } : { mostPages: dynamicPages(pageSize) };
  const table = isDdw
    ? openDdwWindow(facility, pageSize, size, { section: FORMER_WINDOW })
    : new TceWindow(facility, facility.defaultWindow);
  const left = { ...(isDdw && { dynamic: table.window }), isDefaultRemoved };
  if (mapping !== 'dynamic') {
    DirectTceWindow.open(memory, table, mapping, { section: FORMER_WINDOW });
    return left;
  }
  const pages = new DynamicTceWindow(table, 'fail', table.window.base === 0n ? 1 : 0);
  const mapped: number[] = [];
  for (let i = 0; i < buffers; i++) {
    const address = allocateBuffer(memory, buffers);
    mapped.push(address);
    if (pages.map(address, PAGE_SIZE, DmaDirection.Bidirectional, 1) < 0)
      throw windowError(
        `the window of the former owner has no room for ${buffers} buffers` +
          (pages.status === H_SUCCESS ? '' : `: the hypervisor answers ${pages.status}`),
        'lower platform.formerOwner.buffers, or enlarge its window',
      );
  }
  if (takeover === 'kdump') return { ...left, memory: mapped };
  for (const address of mapped) memory.free(address);
  return left;
}

/** Memory of one of its buffers. A smaller queue of the next kernel leaves it no more. */
function allocateBuffer(memory: GuestMemory, buffers: number): number {
  try {
    return memory.allocate(PAGE_SIZE, PAGE_SIZE);
  } catch (cause) {
    throw new DmaError('ERR_DMA_EXHAUSTED', `pseries: memory has no room for ${buffers} buffers of the former owner`, {
      hint: 'lower platform.formerOwner.buffers, or enlarge machine.memory',
      cause,
    });
  }
}
