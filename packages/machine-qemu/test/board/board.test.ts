import { PciLegacyTransport, PciModernTransport, NO_MSIX, MsixTable } from '@virtio-platform/pci';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ArmBoard } from '../../src/board/arm-board.ts';
import { BoardFunction, type AddressWindow, type Board } from '../../src/board/board.ts';
import { PseriesBoard, Rtas } from '../../src/pseries/pseries-board.ts';
import { X86Board } from '../../src/board/x86-board.ts';
import { DEVICE_SLOT } from '../../src/device-arguments.ts';
import { PCI_BOARDS } from '../../src/board/board-name.ts';
import { ENTROPY, SKIP, startBoard, type StartedQemu } from '../installed-qemu.ts';

function boardOf(name: (typeof PCI_BOARDS)[number], { qtest, memory }: StartedQemu): Board {
  if (name === 'virt') return new ArmBoard(qtest);
  return name === 'pseries' ? new PseriesBoard(qtest, new Rtas(memory, qtest)) : new X86Board(name, qtest);
}

/** The address in a base address register. */
function addressOf(pci: BoardFunction, index: number): number {
  const low = pci.readConfig(0x10 + 4 * index, 4);
  if ((low & 1) !== 0) return low - (low & 3);
  const high = (low & 4) === 0 ? 0 : pci.readConfig(0x14 + 4 * index, 4);
  return high * 2 ** 32 + low - (low & 15);
}

function isWithin(window: AddressWindow, address: number, size: number): boolean {
  return address >= window.pciBase && address + size <= window.pciBase + window.size && address % size === 0;
}

describe.skipIf(SKIP).each(PCI_BOARDS)('BoardFunction on %s', (name) => {
  let started: Awaited<ReturnType<typeof startBoard>>;
  let board: Board;
  let pci: BoardFunction;

  beforeAll(async () => {
    const device = { ...ENTROPY, interface: 'transitional', driverInterface: 'legacy' } as const;
    started = await startBoard(name, { device, bus: 'pci' });
    board = boardOf(name, started);
    pci = new BoardFunction(board, DEVICE_SLOT);
  });
  afterAll(() => started.dispose());

  it('is the device of the arguments, enabled', () => {
    expect(pci.name).toBe('0000:00:04.0');
    expect([pci.readConfig(0, 2), pci.readConfig(2, 2), pci.readConfig(0, 4)]).toEqual([0x1af4, 0x1005, 0x1005_1af4]);
    expect([pci.readConfig(0x2e, 1), pci.readConfig(4, 2) & 7]).toEqual([4, 7]);
  });

  it('has each base address register in its window of the board', () => {
    const io = pci.openBar(0)!;
    const table = pci.openBar(1)!;
    const modern = pci.openBar(4)!;
    expect([io.kind, table.kind, modern.kind]).toEqual(['io', 'memory', 'memory']);
    expect([io.size, table.size, modern.size]).toEqual([32, 4096, 0x4000]);
    expect(isWithin(board.io, addressOf(pci, 0), io.size)).toBe(true);
    expect(isWithin(board.memory, addressOf(pci, 1), table.size)).toBe(true);
    expect(isWithin(board.memory64, addressOf(pci, 4), modern.size)).toBe(true);
    expect([2, 3, 5].map((index) => pci.openBar(index))).toEqual([undefined, undefined, undefined]);
  });

  it('reaches the same device through both interfaces, and its MSI-X table', () => {
    const legacy = new PciLegacyTransport(pci, NO_MSIX);
    const modern = new PciModernTransport(pci, NO_MSIX);
    expect([legacy.deviceId, legacy.queueCount, modern.deviceId, modern.queueCount]).toEqual([4, 1, 4, 1]);
    modern.writeStatus(0);
    modern.writeStatus(1);
    expect([legacy.readStatus(), modern.readStatus()]).toEqual([1, 1]);
    legacy.writeStatus(0);
    expect(modern.readStatus()).toBe(0);
    const table = MsixTable.find(pci)!;
    table.setEntry(1, 0x8765_4321, 0x1234, 0xdead_beef);
    expect([0, 4, 8, 12].map((offset) => pci.openBar(1)!.read(16 + offset, 4))).toEqual([
      0x8765_4321, 0x1234, 0xdead_beef, 0,
    ]);
  });
});

describe.skipIf(SKIP)('an empty slot', () => {
  it.each(['q35', 'pseries', 'virt'] as const)('is not a device on %s', async (name) => {
    const started = await startBoard(name, { bus: 'pci' });
    try {
      const open = (): PciModernTransport =>
        new PciModernTransport(new BoardFunction(boardOf(name, started), 9), NO_MSIX);
      expect(open).toThrow(expect.objectContaining({ code: expect.stringMatching(/^ERR_DEVICE_(CONFIG|LOST)$/) }));
    } finally {
      await started.dispose();
    }
  });
});

/** A board with one function. Its base address registers keep these bits of all ones. */
function boardWithBars(kept: readonly number[]): Board {
  const window = { pciBase: 0x1000_0000, processorBase: 0x1000_0000, size: 0x10_0000 };
  const written = new Map<number, number>();
  const isHighWord = (index: number): boolean => ((kept[index - 1] ?? 0) & 5) === 4;
  const initial = (offset: number): number => {
    const index = (offset - 0x10) / 4;
    return isHighWord(index) ? 0 : (kept[index] ?? 0) & 7;
  };
  return {
    name: 'pc',
    io: window,
    memory: window,
    memory64: window,
    taken: new Map(),
    readConfig: (_devfn, offset) => {
      const bits = kept[(offset - 0x10) / 4] ?? 0;
      const value = written.get(offset);
      return value === undefined ? initial(offset) : ((value & bits) | initial(offset)) >>> 0;
    },
    writeConfig: (_devfn, offset, _width, value) => written.set(offset, value),
    readMemory: () => 0,
    writeMemory: () => {},
    readIo: () => 0,
    writeIo: () => {},
  };
}

describe('BoardFunction with a device without valid addresses', () => {
  it.each([
    ['needs more addresses than the board has', [0xffe0_0000]],
    ['needs 4 GiB', [0x0000_0004, 0xffff_ffff]],
    ['needs more than 4 GiB', [0x0000_0004, 0xffff_fffe]],
    ['has a register of 64 bits whose second half is behind the last register', [0, 0, 0, 0, 0, 0xffff_f004]],
  ])('refuses a device that %s', (_, kept) => {
    expect(() => new BoardFunction(boardWithBars(kept), 4)).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' }),
    );
  });

  it('places registers one behind the other, each at a multiple of its size', () => {
    const pci = new BoardFunction(boardWithBars([0xffff_f000, 0xffff_c004, 0xffff_ffff, 0, 0xffff_fff0]), 4);
    expect([0, 1, 2, 3, 4, 5].map((index) => pci.openBar(index)?.size)).toEqual([
      0x1000,
      0x4000,
      undefined,
      undefined,
      0x10,
      undefined,
    ]);
    expect([0, 1, 4].map((index) => addressOf(pci, index))).toEqual([0x1000_0000, 0x1000_4000, 0x1000_8000]);
  });
});
