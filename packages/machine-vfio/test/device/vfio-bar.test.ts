import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeviceFile } from '@virtio-platform/host';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DeviceRegion, type RegionLayout } from '../../src/device/device-region.ts';
import { VfioBar } from '../../src/device/vfio-bar.ts';

const PAGE = 4096;
/** Bytes of the file: a page before the region, three pages of the region, and a page behind it. */
const FILE = 5 * PAGE;
const WHOLE = { size: 3 * PAGE, offset: PAGE } as const;

let folder: string;
let path: string;
let file: DeviceFile;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  path = join(folder, 'device');
  writeFileSync(path, Buffer.alloc(FILE, 0xee));
  file = DeviceFile.open(path);
});
afterEach(() => {
  file.dispose();
  rmSync(folder, { recursive: true });
});

function open(mappable: RegionLayout['mappable']): VfioBar {
  return VfioBar.open(file, 'memory', new DeviceRegion(file, 'the device', { ...WHOLE, mappable }));
}

describe.each([
  ['not mapped', []],
  ['mapped', [{ offset: 0, size: 3 * PAGE }]],
  [
    'mapped except for a page in the middle',
    [
      { offset: 0, size: PAGE },
      { offset: 2 * PAGE, size: PAGE },
    ],
  ],
  ['not mapped because the parts are not whole pages', [{ offset: 16, size: PAGE }]],
] as const)('a VfioBar that is %s', (_how, mappable) => {
  it('reads and writes registers of each width at their offset in the file', () => {
    const bar = open(mappable);
    for (const page of [0, 1, 2]) {
      const at = page * PAGE + 16;
      bar.write(at, 4, 0xfedc_ba98);
      bar.write(at + 4, 2, 0x1234);
      bar.write(at + 6, 1, 0x56);
      expect([bar.read(at, 4), bar.read(at + 4, 2), bar.read(at + 6, 1)]).toEqual([0xfedc_ba98, 0x1234, 0x56]);
      expect(bar.read(at, 1)).toBe(0x98);
      const bytes = readFileSync(path).subarray(PAGE + at, PAGE + at + 8);
      expect(bytes.toString('hex')).toBe('98badcfe341256ee');
    }
    bar.dispose();
  });

  it('refuses accesses outside of the region', () => {
    const bar = open(mappable);
    expect(bar.size).toBe(3 * PAGE);
    for (const [offset, width] of [
      [3 * PAGE, 4],
      [3 * PAGE - 2, 4],
      [-4, 4],
      [2 ** 40, 2],
    ] as const) {
      expect(() => bar.read(offset, width)).toThrow(RangeError);
      expect(() => bar.write(offset, width, 0)).toThrow(RangeError);
    }
    expect(readFileSync(path).every((byte) => byte === 0xee)).toBe(true);
    bar.dispose();
  });
});

describe('DeviceRegion of a device that is gone', () => {
  it('throws ERR_DEVICE_LOST with the name of the device', () => {
    const region = new DeviceRegion(file, '0000:00:03.0', { size: 16 * PAGE, offset: 0, mappable: [] });
    // A device that does not answer returns fewer bytes than asked for.
    expect(() => region.read(FILE, 4)).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_LOST', message: expect.stringContaining('0000:00:03.0') }),
    );
  });
});
