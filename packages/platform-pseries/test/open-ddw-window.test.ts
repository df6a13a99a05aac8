import { describe, expect, it } from 'vitest';
import { openDdwWindow, type DdwSize } from '../src/open-ddw-window.ts';
import { H_SUCCESS, RTAS_HARDWARE_ERROR, RTAS_SUCCESS, SimulatedTceTables, type DynamicWindows } from '../src/index.ts';

const MIB = 2 ** 20;
const LIOBN = 0x8000_0000;
const ALL: DdwSize = { bytes: 64 * MIB };
const SECOND_BASE = 0x0800_0000_0000_0000n;

function openTables(dynamicWindows: DynamicWindows): SimulatedTceTables {
  return new SimulatedTceTables({ memorySize: 64 * MIB, defaultWindowSize: MIB, dynamicWindows });
}

function hasDefaultWindow(tables: SimulatedTceTables): boolean {
  return tables.getTce(LIOBN, 0xf_f000, 0, new Uint32Array(2)) === H_SUCCESS;
}

function refusal(text: string): unknown {
  return expect.objectContaining({
    code: 'ERR_DMA_WINDOW',
    message: expect.stringContaining(text),
    hint: expect.any(String),
  });
}

describe('openDdwWindow', () => {
  it.each([2n ** 64n - 2n ** 20n, SECOND_BASE + 4096n])('refuses an impossible place of a window: %d', (base) => {
    const tables = openTables('beside');
    const create = tables.createWindow.bind(tables);
    tables.createWindow = (pageShift, windowShift) => {
      const { status, window } = create(pageShift, windowShift);
      return { status, window: { ...window!, base } };
    };
    expect(() => openDdwWindow(tables, 2 ** 16, ALL)).toThrow(refusal('which is impossible'));
    expect(tables.queryWindows().available).toBe(1);
  });

  it('keeps the default window on a machine with a second window', () => {
    const tables = openTables('beside');
    expect(openDdwWindow(tables, 2 ** 16, ALL).window).toEqual({
      liobn: LIOBN + 1,
      base: SECOND_BASE,
      size: 64 * MIB,
      pageShift: 16,
    });
    expect(hasDefaultWindow(tables)).toBe(true);
  });

  it('replaces the default window on a machine with one window, and its removal restores the default one', () => {
    const tables = openTables('replace');
    const { window } = openDdwWindow(tables, 2 ** 16, ALL);
    expect(window).toEqual({ liobn: LIOBN, base: 0n, size: 64 * MIB, pageShift: 16 });
    expect(tables.putTce(LIOBN, 0x300_0000, 0, 1, 0)).toBe(H_SUCCESS);
    expect(tables.removeWindow(window.liobn)).toBe(RTAS_SUCCESS);
    expect(hasDefaultWindow(tables)).toBe(true);
    expect(tables.putTce(LIOBN, 0x300_0000, 0, 1, 0)).not.toBe(H_SUCCESS);
  });

  it('changes nothing when the default window could not be restored', () => {
    const tables = openTables('replace');
    Object.defineProperty(tables, 'resetWindows', { value: undefined });
    expect(() => openDdwWindow(tables, 2 ** 16, ALL)).toThrow(refusal('no further'));
    expect(hasDefaultWindow(tables)).toBe(true);
  });

  it.each([
    ['the page size does not exist', 2 ** 13, ALL, 'no windows with pages of 8KiB'],
    ['the table would be too large', 2 ** 12, { bytes: 2 ** 40 }, 'a window has at most'],
  ] as const)('brings the default window back when %s', (_why, pageSize, size, message) => {
    const tables = openTables('replace');
    expect(() => openDdwWindow(tables, pageSize, size)).toThrow(refusal(message));
    expect(hasDefaultWindow(tables)).toBe(true);
    expect(tables.queryWindows().available).toBe(0);
  });

  it('restores the default window when the other one is refused', () => {
    class WithoutMemory extends SimulatedTceTables {
      override createWindow(): { readonly status: number } {
        return { status: RTAS_HARDWARE_ERROR };
      }
    }
    const tables = new WithoutMemory({ memorySize: MIB, defaultWindowSize: MIB, dynamicWindows: 'replace' });
    expect(() => openDdwWindow(tables, 2 ** 16, { bytes: MIB })).toThrow(
      refusal('ibm,create-pe-dma-window answers -1'),
    );
    expect(hasDefaultWindow(tables)).toBe(true);
  });

  it('throws ERR_DMA_WINDOW when the default window was already removed', () => {
    const tables = openTables('replace');
    tables.removeWindow(LIOBN);
    tables.createWindow(12, 20);
    tables.removeWindow = () => -3;
    expect(() => openDdwWindow(tables, 2 ** 16, ALL)).toThrow(refusal('answers -3 for the default window'));
  });

  it('throws ERR_DMA_WINDOW on a machine without window calls', () => {
    const tables = openTables('none');
    expect(() => openDdwWindow(tables, 2 ** 16, ALL)).toThrow(refusal('ibm,query-pe-dma-window answers -3'));
    expect(hasDefaultWindow(tables)).toBe(true);
  });

  it('creates the largest possible window without a given size', () => {
    const { window } = openDdwWindow(openTables('beside'), 2 ** 16, { mostPages: 2 ** 10 });
    expect(window.size).toBe(2 ** 26);
  });
});
