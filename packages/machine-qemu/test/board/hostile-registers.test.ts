import { isCodedError } from '@virtio-platform/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoardFunction, type AddressWindow, type Board } from '../../src/board/board.ts';

const window = (base: number): AddressWindow => ({ pciBase: base, processorBase: base, size: 0x1000_0000 });

/** A board whose device keeps of each base address register the bits of a mask, over fixed low bits. */
function board(registers: readonly { readonly mask: number; readonly fixed: number }[]): Board {
  const values = registers.map(({ fixed }) => fixed);
  return {
    name: 'q35',
    io: window(0xc000),
    memory: window(0xe000_0000),
    memory64: window(0x8_0000_0000),
    taken: new Map(),
    readConfig: (_devfn, offset) => values[(offset - 0x10) / 4] ?? 0,
    writeConfig: (_devfn, offset, _width, value) => {
      const at = (offset - 0x10) / 4;
      const register = registers[at];
      if (register !== undefined) values[at] = ((value & register.mask) | register.fixed) >>> 0;
    },
    readMemory: () => 0,
    writeMemory: () => {},
    readIo: () => 0,
    writeIo: () => {},
  };
}

describe('BoardFunction', () => {
  it('has base address registers inside of its windows, or a coded error, whatever the device keeps', () => {
    const word = fc.integer({ min: 0, max: 0xffff_ffff });
    const mask = fc.oneof(
      word,
      fc.integer({ min: 0, max: 32 }).map((shift) => (shift === 32 ? 0 : (0xffff_ffff << shift) >>> 0)),
    );
    const register = fc.record({ mask, fixed: fc.oneof(fc.integer({ min: 0, max: 15 }), word) });
    fc.assert(
      fc.property(fc.array(register, { minLength: 6, maxLength: 6 }), (registers) => {
        try {
          const pci = new BoardFunction(board(registers), 4);
          for (let index = 0; index < 6; index++) {
            const size = pci.openBar(index)?.size ?? 1;
            expect(Number.isInteger(Math.log2(size)) && size <= 0x1000_0000).toBe(true);
          }
        } catch (error) {
          expect(isCodedError(error) && error.code).toBe('ERR_DEVICE_CONFIG');
        }
      }),
      { numRuns: 3000 },
    );
  });
});
