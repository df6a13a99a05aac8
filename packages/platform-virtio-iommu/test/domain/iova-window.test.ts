import { describe, expect, it } from 'vitest';
import { chooseWindow } from '../../src/domain/iova-window.ts';
import type { IommuConfig } from '../../src/unit/iommu-config.ts';

const CONFIG: IommuConfig = {
  granule: 4096,
  inputStart: 0n,
  inputEnd: 2n ** 64n - 1n,
  domain: 0,
  probeSize: 0,
  bypass: undefined,
};
const MIB = 2 ** 20;

function reserved(start: number, size: number): { kind: 'msi'; start: bigint; end: bigint } {
  return { kind: 'msi', start: BigInt(start), end: BigInt(start + size - 1) };
}

describe('the addresses that a domain hands out', () => {
  it('are the highest below 2 GiB', () => {
    expect(chooseWindow(CONFIG, [], MIB)).toEqual({ first: 2 ** 19 - 256, count: 256 });
  });

  it('end in front of a reserved region, also one of the middle of a page', () => {
    const regions = [reserved(2 ** 31 - MIB, MIB), reserved(2 ** 30 + 5, 1)];
    expect(chooseWindow(CONFIG, regions, MIB)).toEqual({ first: 2 ** 19 - 512, count: 256 });
    const page = [reserved(2 ** 31 - MIB + 5, MIB)];
    expect(chooseWindow(CONFIG, page, MIB)).toEqual({ first: 2 ** 19 - 512, count: 256 });
  });

  it('are the largest gap where none has room for all, without page 0', () => {
    const config = { ...CONFIG, inputEnd: 0xff_ffffn };
    expect(chooseWindow(config, [reserved(10 * MIB, MIB)], 32 * MIB)).toEqual({ first: 1, count: 2559 });
  });

  it('lie inside of input_range, also above 4 GiB', () => {
    const config = { ...CONFIG, inputStart: 2n ** 32n };
    const { first, count } = chooseWindow(config, [], MIB);
    expect([first * 4096 >= 2 ** 32, count]).toEqual([true, 256]);
  });

  it('are whole pages of the unit', () => {
    const config = { ...CONFIG, granule: 65_536, inputStart: 0x1_1000n, inputEnd: 0xf_efffn };
    expect(chooseWindow(config, [], MIB)).toEqual({ first: 2, count: 13 });
  });

  it('are refused where there is no room for two pages', () => {
    const config = { ...CONFIG, inputEnd: 0x1fffn };
    expect(() => chooseWindow(config, [], MIB)).toThrow(
      /no I\/O virtual addresses are left from 0x0 to 0x1fff outside/,
    );
    expect(() => chooseWindow(CONFIG, [{ kind: 'reserved', start: 0n, end: 2n ** 64n - 1n }], MIB)).toThrow(
      expect.objectContaining({ code: 'ERR_IOMMU_UNSUPPORTED' }),
    );
  });
});
