import {
  H_PARAMETER,
  H_SUCCESS,
  RTAS_HARDWARE_ERROR,
  RTAS_PARAMETER_ERROR,
  RTAS_SUCCESS,
} from '@virtio-platform/platform-pseries';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DEVICE_SLOT } from '../../src/device-arguments.ts';
import { HypercallMailbox } from '../../src/pseries/hypercall-mailbox.ts';
import { QemuTceFacility } from '../../src/pseries/qemu-tce-facility.ts';
import { Rtas } from '../../src/pseries/pseries-board.ts';
import { SKIP, startBoard } from '../installed-qemu.ts';

const PAGE = 4096;
const DEFAULT = 0x8000_0000;
const SECOND = 0x8000_0001;
const SECOND_BASE = 0x0800_0000_0000_0000n;
/** The end of the default window, and its number of entries. */
const END = 2 ** 30;
const ENTRIES = END / PAGE;
const H_PUT_TCE_INDIRECT = 0x13c;

describe.skipIf(SKIP)('QemuTceFacility on QEMU', () => {
  let started: Awaited<ReturnType<typeof startBoard>>;
  let mailbox: HypercallMailbox;
  let tables: QemuTceFacility;

  beforeAll(async () => {
    started = await startBoard('pseries');
    mailbox = new HypercallMailbox(started.memory, started.qtest, 5000);
    tables = new QemuTceFacility(started.memory, mailbox, new Rtas(started.memory, started.qtest), DEVICE_SLOT << 3);
    expect(tables.defaultWindow).toEqual({ liobn: DEFAULT, base: 0n, size: END, pageShift: 12 });
    expect(tables.multiTce).toBe(true);
  });
  afterAll(() => started.dispose());
  beforeEach(() => {
    expect(tables.resetWindows()).toBe(RTAS_SUCCESS);
  });

  function entry(ioba: number, liobn = DEFAULT): readonly [code: number, low: number, high: number] {
    const words = new Uint32Array(2);
    const code = tables.getTce(liobn, ioba, 0, words);
    return [code, words[0]!, words[1]!];
  }

  describe('H_PUT_TCE and H_GET_TCE', () => {
    it('keep all bits of an entry, also the reserved ones', () => {
      expect(tables.putTce(DEFAULT, 0x5000, 0, 0x1234_5fff, 0x0089_abcd)).toBe(H_SUCCESS);
      expect(entry(0x5000)).toEqual([H_SUCCESS, 0x1234_5fff, 0x0089_abcd]);
      expect(entry(0x6000)).toEqual([H_SUCCESS, 0, 0]);
    });

    it('accept an address inside a page for the page', () => {
      expect(tables.putTce(DEFAULT, 0x7123, 0, 0x8003, 0)).toBe(H_SUCCESS);
      expect(entry(0x7fff)).toEqual([H_SUCCESS, 0x8003, 0]);
    });

    it('reach the last page of the window, and no page behind it', () => {
      expect(tables.putTce(DEFAULT, END - PAGE, 0, 3, 0)).toBe(H_SUCCESS);
      expect(tables.putTce(DEFAULT, END, 0, 3, 0)).toBe(H_PARAMETER);
      expect(tables.putTce(DEFAULT, 0, 0x0800_0000, 3, 0)).toBe(H_PARAMETER);
      expect(entry(END)[0]).toBe(H_PARAMETER);
    });

    it.each([SECOND, 0, 0x9000_0000, 0xffff_ffff])('refuse the table %i, which does not exist', (liobn) => {
      expect(tables.putTce(liobn, 0, 0, 3, 0)).toBe(H_PARAMETER);
      expect(entry(0, liobn)[0]).toBe(H_PARAMETER);
    });
  });

  describe('H_PUT_TCE_INDIRECT', () => {
    const list = Uint32Array.from({ length: 2 * 512 }, (_, i) => (i % 2 === 0 ? (i / 2) * PAGE + 3 : i));

    it('writes a page of entries at once', () => {
      expect(tables.putTceIndirect(DEFAULT, 0x10_0000, 0, list, 512)).toBe(H_SUCCESS);
      expect(entry(0x10_0000)).toEqual([H_SUCCESS, 3, 1]);
      expect(entry(0x10_0000 + 511 * PAGE)).toEqual([H_SUCCESS, 511 * PAGE + 3, 1023]);
      expect(entry(0x10_0000 + 512 * PAGE)).toEqual([H_SUCCESS, 0, 0]);
    });

    it('keeps the entries that it wrote before the end of the window', () => {
      expect(tables.putTceIndirect(DEFAULT, END - 2 * PAGE, 0, list, 4)).toBe(H_PARAMETER);
      expect(entry(END - 2 * PAGE)).toEqual([H_SUCCESS, 3, 1]);
      expect(entry(END - PAGE)).toEqual([H_SUCCESS, PAGE + 3, 3]);
    });

    it('requires 1 to 512 entries, in a list at a page boundary', () => {
      expect(tables.putTceIndirect(DEFAULT, 0, 0, list, 0)).toBe(H_PARAMETER);
      expect(() => tables.putTceIndirect(DEFAULT, 0, 0, list, 513)).toThrow(RangeError);
      const call = (address: number, count: number): number => {
        [DEFAULT, 0, address, count].forEach((argument, i) => mailbox.setArgument(i, argument, 0));
        return mailbox.call(H_PUT_TCE_INDIRECT);
      };
      expect([call(0x20_0000, 513), call(0x20_0008, 1), call(0x20_0000, 1)]).toEqual([
        H_PARAMETER,
        H_PARAMETER,
        H_SUCCESS,
      ]);
    });
  });

  describe('H_STUFF_TCE', () => {
    it('writes one value to several entries, also with permissions', () => {
      expect(tables.stuffTce(DEFAULT, 0x2000, 0, 0x9003, 1, 3)).toBe(H_SUCCESS);
      expect([0x2000, 0x4000, 0x5000].map((ioba) => entry(ioba))).toEqual([
        [H_SUCCESS, 0x9003, 1],
        [H_SUCCESS, 0x9003, 1],
        [H_SUCCESS, 0, 0],
      ]);
    });

    it('refuses 0 entries, and more than the table has', () => {
      expect(tables.stuffTce(DEFAULT, 0, 0, 3, 0, 0)).toBe(H_PARAMETER);
      expect(tables.stuffTce(DEFAULT, 0, 0, 3, 0, ENTRIES + 1)).toBe(H_PARAMETER);
      expect(entry(0)).toEqual([H_SUCCESS, 0, 0]);
      expect(tables.stuffTce(DEFAULT, 0, 0, 0, 0, ENTRIES)).toBe(H_SUCCESS);
    });

    it('keeps the entries that it wrote before the end of the window', () => {
      expect(tables.stuffTce(DEFAULT, END - PAGE, 0, 0x9003, 0, 2)).toBe(H_PARAMETER);
      expect(entry(END - PAGE)).toEqual([H_SUCCESS, 0x9003, 0]);
    });
  });

  describe('windows', () => {
    it('can be one more than the default window, with four page sizes', () => {
      expect(tables.queryWindows()).toMatchObject({
        status: RTAS_SUCCESS,
        available: 1,
        pageShifts: [12, 16, 21, 24],
      });
      expect(tables.queryWindows().maxEntries).toBeGreaterThanOrEqual(2 ** 18);
    });

    it('are created at 2^59, with their own table', () => {
      const created = tables.createWindow(16, 31);
      expect(created).toEqual({
        status: RTAS_SUCCESS,
        window: { liobn: SECOND, base: SECOND_BASE, size: 2 ** 31, pageShift: 16 },
      });
      expect(tables.queryWindows().available).toBe(0);
      expect(tables.putTce(SECOND, 0x7fff_0000, 0x0800_0000, 0x1_0003, 0)).toBe(H_SUCCESS);
      expect(tables.putTce(SECOND, 0x8000_0000, 0x0800_0000, 3, 0)).toBe(H_PARAMETER);
      expect(tables.createWindow(16, 31)).toEqual({ status: RTAS_HARDWARE_ERROR });
      expect(tables.removeWindow(SECOND)).toBe(RTAS_SUCCESS);
      expect(tables.putTce(SECOND, 0, 0x0800_0000, 3, 0)).toBe(H_PARAMETER);
      expect(tables.removeWindow(SECOND)).toBe(RTAS_PARAMETER_ERROR);
    });

    it.each([
      ['a page size that is not offered', 25, 31],
      ['a page size that does not exist', 13, 31],
      ['a window smaller than a page', 24, 20],
    ])('are refused for %s', (_, pageShift, windowShift) => {
      expect(tables.createWindow(pageShift, windowShift)).toEqual({ status: RTAS_PARAMETER_ERROR });
      expect(tables.queryWindows().available).toBe(1);
    });

    it('replace the default window after its removal, until the reset', () => {
      expect(tables.removeWindow(DEFAULT)).toBe(RTAS_SUCCESS);
      expect(tables.queryWindows().available).toBe(2);
      expect(tables.putTce(DEFAULT, 0, 0, 3, 0)).toBe(H_PARAMETER);
      const { window } = tables.createWindow(12, 28);
      expect(window).toMatchObject({ base: 0n });
      expect(tables.resetWindows()).toBe(RTAS_SUCCESS);
      expect(tables.putTce(DEFAULT, END - PAGE, 0, 3, 0)).toBe(H_SUCCESS);
      expect(tables.createWindow(12, 28).window).toMatchObject({ base: SECOND_BASE });
    });

    it.each([0, 0x1234, 0xffff_ffff])('are not removed where no window has the number %i', (liobn) => {
      expect(tables.removeWindow(liobn)).toBe(RTAS_PARAMETER_ERROR);
    });

    it('belong to a host bridge that exists', () => {
      const rtas = new Rtas(started.memory, started.qtest);
      expect(rtas.call('ibm,query-pe-dma-window', [0, 0, 1], 6)[0]).toBe(0xffff_fffd);
      const wrong = rtas.call('ibm,query-pe-dma-window', [0], 6);
      expect(wrong).toEqual([0xffff_fffd, 0, 0, 0, 0, 0]);
    });
  });
});

/** The facility of a pseries with a host bridge of its own. */
async function startBridge(
  hostBridge: object,
): Promise<{ readonly tables: QemuTceFacility; readonly dispose: () => Promise<void> }> {
  const board = await startBoard('pseries', { hostBridge });
  const { memory, qtest } = board;
  const mailbox = new HypercallMailbox(memory, qtest, 5000);
  return {
    tables: new QemuTceFacility(memory, mailbox, new Rtas(memory, qtest), DEVICE_SLOT << 3),
    dispose: () => board.dispose(),
  };
}

describe.skipIf(SKIP)('a host bridge of QEMU that is set up otherwise', () => {
  it('has its windows where its firmware says', async () => {
    const { tables, dispose } = await startBridge({
      defaultWindowAddress: 0x1000_0000,
      defaultWindowSize: '128MiB',
      dynamicWindowAddress: 0x10_0000_0000,
      pageSizes: ['4KiB', '16MiB'],
    });
    try {
      const base = 0x1000_0000;
      expect(tables.defaultWindow).toEqual({ liobn: DEFAULT, base: BigInt(base), size: 2 ** 27, pageShift: 12 });
      expect(tables.putTce(DEFAULT, base + 2 ** 27 - PAGE, 0, 0x5003, 0)).toBe(H_SUCCESS);
      expect(tables.putTce(DEFAULT, base + 2 ** 27, 0, 0x5003, 0)).toBe(H_PARAMETER);
      expect(tables.putTce(DEFAULT, base - PAGE, 0, 0x5003, 0)).toBe(H_PARAMETER);
      expect(tables.queryWindows()).toMatchObject({ status: RTAS_SUCCESS, available: 1, pageShifts: [12, 24] });
      expect(tables.createWindow(16, 31)).toEqual({ status: RTAS_PARAMETER_ERROR });
      expect(tables.createWindow(24, 31).window).toMatchObject({ base: 0x10_0000_0000n });
    } finally {
      await dispose();
    }
  });

  it('creates no window with ddw=off', async () => {
    const { tables, dispose } = await startBridge({ dynamicWindows: false });
    try {
      expect(tables.queryWindows().status).toBe(RTAS_PARAMETER_ERROR);
      expect(tables.createWindow(16, 31)).toEqual({ status: RTAS_PARAMETER_ERROR });
      expect(tables.putTce(DEFAULT, 0, 0, 0x5003, 0)).toBe(H_SUCCESS);
    } finally {
      await dispose();
    }
  });
});
