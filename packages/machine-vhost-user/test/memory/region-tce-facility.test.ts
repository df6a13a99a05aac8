import type { BootedMachine } from '@virtio-platform/core';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { FeatureSet, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import {
  H_NOT_ENOUGH_RESOURCES,
  H_PARAMETER,
  H_SUCCESS,
  RTAS_HARDWARE_ERROR,
  RTAS_PARAMETER_ERROR,
  RTAS_SUCCESS,
  TCE_FACILITY,
  type DmaWindow,
  type TceFacility,
} from '@virtio-platform/platform-pseries';
import { describe, expect, it } from 'vitest';
import { RegionTceFacility } from '../../src/memory/region-tce-facility.ts';
import { BlockRing, READ, WRITE } from '@virtio-platform/conformance/testing';
import { MEMORY, sharedFile, SKIP, withMachine } from '../storage-daemon.ts';

const OPTIONS = { needs: [TCE_FACILITY], offers: FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM) };
const PAGE = 4096;
const SECOND_HIGH = 0x0800_0000;
const SECOND = 0x0800_0000_0000_0000n;
const DEFAULT = 0x8000_0000;

function tce(machine: BootedMachine): TceFacility {
  // The token says which interface it is.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return machine.facilities.get(TCE_FACILITY) as TceFacility;
}

/** Maps guest memory `[0, bytes)` from the start of a window on. */
function mapAll(tables: TceFacility, window: DmaWindow, bytes: number): void {
  const pageSize = 2 ** window.pageShift;
  const high = Number(window.base >> 32n);
  for (let at = 0; at < bytes; at += 512 * pageSize) {
    const count = Math.min(512, (bytes - at) / pageSize);
    const list = new Uint32Array(2 * count);
    for (let i = 0; i < count; i++) list[2 * i] = (at + i * pageSize) | 3;
    expect(tables.putTceIndirect(window.liobn, at, high, list, count)).toBe(H_SUCCESS);
  }
}

/** Where the pages are that have a text in them. */
function pagesOf(bytes: Buffer, text: string): number[] {
  const pages: number[] = [];
  for (let page = 0; page < bytes.length; page += PAGE) {
    if (bytes.subarray(page, page + PAGE).includes(text)) pages.push(page);
  }
  return pages;
}

describe.skipIf(SKIP)('RegionTceFacility with qemu-storage-daemon', () => {
  it.each([12, 16, 21])('maps all of memory at 2^59 with pages of 2^%d bytes', (pageShift) =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      const { status, window } = tce(machine).createWindow(pageShift, 23);
      expect(status).toBe(RTAS_SUCCESS);
      expect(window).toEqual({ liobn: DEFAULT + 1, base: SECOND, size: MEMORY, pageShift });
      mapAll(tce(machine), window!, MEMORY);
      const ring = new BlockRing(
        machine,
        new DirectDmaMapping(memory, { path: 'linear', capacity: 64, offset: SECOND }),
      );
      const data = memory.allocate(PAGE);
      memory.u8.fill(0x24, data, data + PAGE);
      expect(ring.request(WRITE, 8, data, PAGE)).toBe(0);
      memory.u8.fill(0, data, data + PAGE);
      expect(ring.request(READ, 8, data, PAGE)).toBe(0);
      expect(memory.u8[data]).toBe(0x24);
      ring.end();
    }),
  );

  it('maps all of memory as the identity in the default window', () =>
    withMachine(OPTIONS, (machine) => {
      mapAll(tce(machine), tce(machine).defaultWindow, MEMORY);
      const ring = new BlockRing(machine, new DirectDmaMapping(machine.memory, { path: 'identity', capacity: 64 }));
      expect(ring.request(READ, 0, machine.memory.allocate(PAGE), PAGE)).toBe(0);
    }));

  it('gives all of memory to a device that does not offer ACCESS_PLATFORM, whatever the tables say', () =>
    withMachine({ needs: [TCE_FACILITY], offers: FeatureSet.of(VIRTIO_F_VERSION_1) }, (machine) => {
      expect(tce(machine).putTce(DEFAULT, 0, 0, 0x5003, 0)).toBe(H_SUCCESS);
      const ring = new BlockRing(machine, new DirectDmaMapping(machine.memory, { path: 'physical', capacity: 64 }));
      expect(ring.request(READ, 0, machine.memory.allocate(PAGE), PAGE)).toBe(0);
    }));

  it('lets the device reach a page from the call that maps it to the call that unmaps it', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      mapAll(tce(machine), tce(machine).defaultWindow, 1 << 20);
      const ring = new BlockRing(machine, new DirectDmaMapping(memory, { path: 'identity', capacity: 64 }));
      const data = 2 << 20;
      const list = Uint32Array.of(data | 3, 0, (data + PAGE) | 3, 0, (data + 2 * PAGE) | 3, 0);
      expect(tce(machine).putTceIndirect(DEFAULT, data, 0, list, 3)).toBe(H_SUCCESS);
      expect(ring.request(READ, 0, data, 3 * PAGE)).toBe(0);
      // The middle goes: what is left are two regions.
      expect(tce(machine).stuffTce(DEFAULT, data + PAGE, 0, 0, 0, 1)).toBe(H_SUCCESS);
      expect(ring.request(READ, 0, data, PAGE)).toBe(0);
      expect(ring.request(READ, 0, data + 2 * PAGE, PAGE)).toBe(0);
      ring.submit(READ, 0, data + PAGE, PAGE);
      expect(ring.finish()).toBe('lost');
    }));

  it('has no resources for more runs than regions, changes nothing then, and takes runs back', () =>
    withMachine(OPTIONS, (machine) => {
      const tables = tce(machine);
      mapAll(tables, tables.defaultWindow, 1 << 20);
      const ring = new BlockRing(machine, new DirectDmaMapping(machine.memory, { path: 'identity', capacity: 64 }));
      const words = new Uint32Array(2);
      const first = 2 << 20;
      for (let i = 0; i < 31; i++) {
        expect(tables.putTce(DEFAULT, first + 2 * i * PAGE, 0, (first + i * PAGE) | 3, 0)).toBe(H_SUCCESS);
      }
      expect(tables.putTce(DEFAULT, 0x100_0000, 0, first | 3, 0)).toBe(H_NOT_ENOUGH_RESOURCES);
      expect(tables.getTce(DEFAULT, 0x100_0000, 0, words)).toBe(H_SUCCESS);
      expect([...words]).toEqual([0, 0]);
      expect(tables.stuffTce(DEFAULT, first, 0, 0, 0, 62)).toBe(H_SUCCESS);
      expect(tables.putTce(DEFAULT, 0x100_0000, 0, first | 3, 0)).toBe(H_SUCCESS);
      expect(ring.request(READ, 0, machine.memory.allocate(PAGE), PAGE)).toBe(0);
    }));

  it('takes everything from the back-end with a reset, and gives it back with the next queue', () =>
    withMachine(OPTIONS, (machine) => {
      mapAll(tce(machine), tce(machine).defaultWindow, 1 << 20);
      for (let i = 0; i < 2; i++) {
        const mapping = new DirectDmaMapping(machine.memory, { path: 'identity', capacity: 64 });
        const ring = new BlockRing(machine, mapping);
        expect(ring.request(READ, 0, machine.memory.allocate(PAGE), PAGE)).toBe(0);
        ring.end();
        // Only recorded again: far more runs than there are regions.
        for (let page = 0; page < 64; page++) {
          expect(tce(machine).putTce(DEFAULT, 0x200_0000 + page * PAGE, 0, 0x10_0003, 0)).toBe(H_SUCCESS);
        }
        expect(tce(machine).stuffTce(DEFAULT, 0x200_0000, 0, 0, 0, 64)).toBe(H_SUCCESS);
      }
    }));

  it('does not start a queue when the tables hold more runs than there are regions', () =>
    withMachine(OPTIONS, (machine) => {
      mapAll(tce(machine), tce(machine).defaultWindow, 1 << 20);
      for (let page = 0; page < 64; page++) tce(machine).putTce(DEFAULT, 0x200_0000 + page * PAGE, 0, 0x10_0003, 0);
      const mapping = new DirectDmaMapping(machine.memory, { path: 'identity', capacity: 64 });
      expect(() => new BlockRing(machine, mapping)).toThrow(expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }));
    }));

  it('has in the file that the back-end gets what entries permit while a queue runs, and nothing else', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      const tables = tce(machine);
      const data = 4 << 20;
      const out = Buffer.from(memory.buffer as ArrayBuffer, 1 << 20);
      out.fill('keep out');
      const before = Buffer.from(out);
      mapAll(tables, tables.defaultWindow, 1 << 20);
      const ring = new BlockRing(machine, new DirectDmaMapping(memory, { path: 'identity', capacity: 64 }));
      expect(sharedFile().includes('out')).toBe(false);
      // Three pages at two bus addresses each; then the first goes at one of them, and all of them do at the other.
      const list = Uint32Array.of(data | 3, 0, (data + PAGE) | 3, 0, (data + 2 * PAGE) | 1, 0);
      expect(tables.putTceIndirect(DEFAULT, data, 0, list, 3)).toBe(H_SUCCESS);
      expect(tables.putTceIndirect(DEFAULT, 0x100_0000, 0, list, 3)).toBe(H_SUCCESS);
      expect(tables.putTce(DEFAULT, data, 0, 0, 0)).toBe(H_SUCCESS);
      expect(pagesOf(sharedFile(), 'out')).toEqual([data, data + PAGE, data + 2 * PAGE]);
      expect(tables.stuffTce(DEFAULT, 0x100_0000, 0, 0, 0, 3)).toBe(H_SUCCESS);
      expect(pagesOf(sharedFile(), 'out')).toEqual([data + PAGE, data + 2 * PAGE]);
      expect(ring.request(WRITE, 0, data + PAGE, 2 * PAGE)).toBe(0);
      ring.end();
      expect(sharedFile().every((byte) => byte === 0)).toBe(true);
      expect(out.equals(before)).toBe(true);
    }));

  it('shares nothing for a call that it has no resources for', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      const tables = tce(machine);
      const data = 2 << 20;
      Buffer.from(memory.buffer as ArrayBuffer, 1 << 20).fill('keep out');
      mapAll(tables, tables.defaultWindow, 1 << 20);
      const ring = new BlockRing(machine, new DirectDmaMapping(memory, { path: 'identity', capacity: 64 }));
      const list = new Uint32Array(2 * 64);
      for (let i = 0; i < 64; i += 2) list[2 * i] = (data + i * PAGE) | 3;
      expect(tables.putTceIndirect(DEFAULT, data, 0, list, 64)).toBe(H_NOT_ENOUGH_RESOURCES);
      expect(sharedFile().includes('out')).toBe(false);
      ring.end();
    }));
});

describe('RegionTceFacility', () => {
  it('answers hypercalls as QEMU does', () => {
    const tables = new RegionTceFacility(MEMORY, undefined);
    const words = new Uint32Array(2);
    expect(tables.putTce(DEFAULT, 0x1234, 0, 0x5abc, 7)).toBe(H_SUCCESS);
    expect(tables.getTce(DEFAULT, 0x1000, 0, words)).toBe(H_SUCCESS);
    expect([...words]).toEqual([0x5abc, 7]);
    expect(tables.putTce(DEFAULT, 0x4000_0000, 0, 3, 0)).toBe(H_PARAMETER);
    expect(tables.putTce(DEFAULT + 1, 0, 0, 3, 0)).toBe(H_PARAMETER);
    expect(tables.putTce(5, 0, 0, 3, 0)).toBe(H_PARAMETER);
    expect(tables.putTceIndirect(DEFAULT, 0, 0, new Uint32Array(2000), 0)).toBe(H_PARAMETER);
    expect(tables.putTceIndirect(DEFAULT, 0, 0, new Uint32Array(2000), 513)).toBe(H_PARAMETER);
    expect(tables.stuffTce(DEFAULT, 0, 0, 0, 0, 0)).toBe(H_PARAMETER);
    expect(tables.stuffTce(DEFAULT, 0, 0, 0, 0, 262_145)).toBe(H_PARAMETER);
  });

  it('applies the entries that fit when a call crosses the end of a window', () => {
    const tables = new RegionTceFacility(MEMORY, undefined);
    const words = new Uint32Array(2);
    expect(tables.stuffTce(DEFAULT, 0x3fff_f000, 0, 0x7003, 0, 2)).toBe(H_PARAMETER);
    expect(tables.getTce(DEFAULT, 0x3fff_f000, 0, words)).toBe(H_SUCCESS);
    expect(words[0]).toBe(0x7003);
  });

  it('creates and removes windows as QEMU does', () => {
    const tables = new RegionTceFacility(MEMORY, undefined);
    expect(tables.queryWindows()).toMatchObject({ status: RTAS_SUCCESS, available: 1, pageShifts: [12, 16, 21, 24] });
    expect(tables.createWindow(13, 30)).toEqual({ status: RTAS_PARAMETER_ERROR });
    expect(tables.createWindow(16, 12)).toEqual({ status: RTAS_PARAMETER_ERROR });
    expect(tables.createWindow(12, 60)).toEqual({ status: RTAS_HARDWARE_ERROR });
    expect(tables.createWindow(16, 30).window).toMatchObject({ liobn: DEFAULT + 1, base: SECOND });
    expect(tables.createWindow(16, 30)).toEqual({ status: RTAS_HARDWARE_ERROR });
    expect(tables.putTce(DEFAULT + 1, 0, SECOND_HIGH, 3, 0)).toBe(H_SUCCESS);
    expect(tables.removeWindow(DEFAULT)).toBe(RTAS_SUCCESS);
    expect(tables.removeWindow(DEFAULT)).toBe(RTAS_PARAMETER_ERROR);
    expect(tables.removeWindow(DEFAULT + 1)).toBe(RTAS_SUCCESS);
    // The last window was not the default one, which is back now.
    expect(tables.queryWindows().available).toBe(1);
    expect(tables.removeWindow(DEFAULT)).toBe(RTAS_SUCCESS);
    expect(tables.queryWindows().available).toBe(2);
    expect(tables.createWindow(16, 30).window).toMatchObject({ liobn: DEFAULT, base: 0n });
  });

  it('has the default window and no other after a reset, and it is empty', () => {
    const tables = new RegionTceFacility(MEMORY, undefined);
    const words = new Uint32Array(2);
    tables.createWindow(16, 30);
    tables.putTce(DEFAULT, 0, 0, 3, 0);
    tables.removeWindow(DEFAULT + 1);
    tables.createWindow(16, 30);
    expect(tables.resetWindows()).toBe(RTAS_SUCCESS);
    expect(tables.getTce(DEFAULT + 1, 0, SECOND_HIGH, words)).toBe(H_PARAMETER);
    expect(tables.getTce(DEFAULT, 0, 0, words)).toBe(H_SUCCESS);
    expect([...words]).toEqual([0, 0]);
    expect(tables.queryWindows().available).toBe(1);
  });
});
