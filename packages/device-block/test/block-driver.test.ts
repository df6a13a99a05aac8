import {
  SparseBacking,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_T_DISCARD,
  type BlockConfig,
  type BlockDriver,
} from '@virtio-platform/device-block';
import { NO_BUFFER } from '@virtio-platform/device-kit';
import { describe, expect, it } from 'vitest';
import { pattern } from '@virtio-platform/conformance/testing';
import { BlockLoop, type BlockLoopOptions } from './block-loop.ts';

const MIB = 1024 * 1024;

/** Runs one request of a program to its end, and returns its status and a copy of its data. */
function run(loop: BlockLoop, make: (driver: BlockDriver) => number): { status: number; data: Uint8Array } {
  const { driver } = loop;
  const id = make(driver);
  expect(id).toBeGreaterThanOrEqual(0);
  let came = loop.run();
  for (let i = 0; i < 10_000 && came === 0; i++) came = loop.run();
  expect([came, driver.completedSlots[0]]).toEqual([1, id]);
  const data = driver.data(id).slice();
  driver.give(id);
  return { status: driver.completedStatus[0]!, data };
}

describe.each(['premapped', 'streaming'] as const)('a program that drives a disk, %s', (buffers) => {
  const open = (options: BlockLoopOptions = {}): BlockLoop =>
    new BlockLoop(new SparseBacking(MIB), { ...options, buffers });

  it('reads what it wrote, by offsets in bytes', () => {
    const loop = open();
    const bytes = pattern(1024);
    expect(run(loop, (driver) => driver.write(0x8000, bytes)).status).toBe(VIRTIO_BLK_S_OK);
    expect(run(loop, (driver) => driver.read(0x8000, 1024))).toEqual({ status: VIRTIO_BLK_S_OK, data: bytes });
    expect(run(loop, (driver) => driver.flush()).status).toBe(VIRTIO_BLK_S_OK);
    const { data } = run(loop, (driver) => driver.getId());
    expect([data.length, new TextDecoder().decode(data.subarray(0, 8))]).toEqual([20, 'serial-1']);
    loop.dispose();
    expect([loop.mapping.statistics.live, loop.memory.allocated]).toEqual([0, 0]);
  });

  it('is told where no request is free, and may go on once one came back', () => {
    const loop = open({ depth: 2 });
    const { driver } = loop;
    const ids = [driver.read(0, 512), driver.read(512, 512)];
    expect([driver.read(0, 512), driver.write(0, pattern(512)), driver.flush()]).toEqual([
      NO_BUFFER,
      NO_BUFFER,
      NO_BUFFER,
    ]);
    expect(loop.run()).toBe(2);
    for (const id of ids) driver.give(id);
    expect(driver.flush()).toBeGreaterThanOrEqual(0);
    loop.run();
    loop.dispose();
  });

  it('gets the id back of a request that was not added', () => {
    const loop = open({ depth: 1, failures: { nth: [1, 2, 3, 4, 5, 6] } });
    const { driver } = loop;
    if (buffers === 'streaming') {
      for (let i = 0; i < 3; i++) expect(driver.read(0, 512)).toBeLessThan(0);
    }
    for (let i = 0; i < 10 && driver.inFlight === 0; i++) driver.read(0, 512);
    expect(loop.run()).toBe(1);
    loop.dispose();
  });
});

describe('a program that drives a disk', () => {
  it.each<[string, (driver: BlockDriver) => number]>([
    ['half a sector', (driver) => driver.read(0, 256)],
    ['an offset inside of a sector', (driver) => driver.read(100, 512)],
    ['a negative offset', (driver) => driver.read(-512, 512)],
    ['no number', (driver) => driver.read(NaN, 512)],
    ['nothing', (driver) => driver.write(0, new Uint8Array(0))],
    ['more than the driver was made for', (driver) => driver.write(0, new Uint8Array(8192))],
    ['an end that is no number', (driver) => driver.read(2 ** 53 - 512, 512)],
  ])('may not ask for %s', (_, make) => {
    const loop = new BlockLoop(new SparseBacking(MIB), {});
    expect(() => make(loop.driver)).toThrow(RangeError);
    expect(loop.driver.inFlight).toBe(0);
    loop.dispose();
  });

  it.each<[string, Partial<BlockConfig>, string, (driver: BlockDriver) => number]>([
    ['write to a read-only disk', { readOnly: true }, 'ERR_DEVICE_READ_ONLY', (it) => it.write(0, new Uint8Array(512))],
    ['flush without FLUSH', { canFlush: false }, 'ERR_FEATURE_REQUIRED', (it) => it.flush()],
    ['discard without DISCARD', {}, 'ERR_FEATURE_REQUIRED', (it) => it.discard(0, 512)],
    ['write zeroes without WRITE_ZEROES', {}, 'ERR_FEATURE_REQUIRED', (it) => it.writeZeroes(0, 512)],
    ['erase without SECURE_ERASE', {}, 'ERR_FEATURE_REQUIRED', (it) => it.secureErase(0, 512)],
    ['ask for the lifetime without LIFETIME', {}, 'ERR_FEATURE_REQUIRED', (it) => it.getLifetime()],
  ])('may not %s', (_, config, code, make) => {
    const loop = new BlockLoop(new SparseBacking(MIB), { config });
    expect(() => make(loop.driver)).toThrow(expect.objectContaining({ code }));
    expect(loop.driver.inFlight).toBe(0);
    loop.dispose();
  });
});

const UNMAPPED = { maxSectors: 2 ** 32 - 8, maxSegments: 1, alignment: 1 };

describe.each(['premapped', 'streaming'] as const)('a range that a program changes, %s', (buffers) => {
  it.each<[string, { maxSectors: number; alignment: number }, number, number, string[]]>([
    ['fits', { maxSectors: 100, alignment: 1 }, 3, 100, ['3+100']],
    ['is cut where the device takes less', { maxSectors: 40, alignment: 1 }, 3, 100, ['3+40', '43+40', '83+20']],
    ['is cut at the alignment', { maxSectors: 40, alignment: 16 }, 3, 100, ['3+29', '32+32', '64+39']],
    ['is cut anywhere within the alignment', { maxSectors: 5, alignment: 16 }, 3, 11, ['3+5', '8+5', '13+1']],
  ])('%s', (_, limits, sector, sectors, seen) => {
    const discard = { ...limits, maxSegments: 1 };
    const config = { discard, writeZeroes: discard, secureErase: discard };
    const loop = new BlockLoop(new SparseBacking(MIB), { buffers, config, device: { ...config, secureErase: true } });
    for (const make of [
      (it: BlockDriver) => it.discard(512 * sector, 512 * sectors),
      (it: BlockDriver) => it.writeZeroes(512 * sector, 512 * sectors, true),
      (it: BlockDriver) => it.secureErase(512 * sector, 512 * sectors),
    ]) {
      loop.ranges.length = 0;
      expect(run(loop, make).status).toBe(VIRTIO_BLK_S_OK);
      expect(loop.ranges.flat()).toEqual(seen);
    }
    loop.dispose();
    expect([loop.mapping.statistics.live, loop.memory.allocated]).toEqual([0, 0]);
  });

  it('may have any length: the rest is added as pieces come back', () => {
    const discard = { maxSectors: 8, maxSegments: 1, alignment: 1 };
    const loop = new BlockLoop(new SparseBacking(MIB), { buffers, depth: 2, queueSize: 8, config: { discard } });
    expect(run(loop, (driver) => driver.discard(0, MIB)).status).toBe(VIRTIO_BLK_S_OK);
    expect([loop.ranges.length, loop.ranges.at(-1)]).toEqual([256, ['2040+8']]);
    loop.dispose();
  });

  it('reads as zeroes once they are written, and its neighbours as before', () => {
    const loop = new BlockLoop(new SparseBacking(MIB), { buffers, config: { writeZeroes: UNMAPPED, mayUnmap: true } });
    const bytes = pattern(2048);
    run(loop, (driver) => driver.write(0, bytes));
    for (const mayUnmap of [false, true]) {
      expect(run(loop, (driver) => driver.writeZeroes(512, 1024, mayUnmap)).status).toBe(VIRTIO_BLK_S_OK);
      const { data } = run(loop, (driver) => driver.read(0, 2048));
      expect(data).toEqual(Uint8Array.from(bytes, (byte, at) => (at >= 512 && at < 1536 ? 0 : byte)));
    }
    loop.dispose();
  });

  it('fails with the first status that is not OK, and the rest is not made', () => {
    const discard = { maxSectors: 8, maxSegments: 1, alignment: 1 };
    const loop = new BlockLoop(new SparseBacking(MIB), { buffers, depth: 1, queueSize: 4, config: { discard } });
    expect(run(loop, (driver) => driver.discard(MIB - 8192, 512 * 512)).status).toBe(VIRTIO_BLK_S_IOERR);
    expect(loop.ranges.length).toBeLessThan(10);
    loop.dispose();
  });
});

describe('several ranges in one request', () => {
  const discard = { maxSectors: 20, maxSegments: 3, alignment: 4 };
  const send = (ranges: readonly [number, number][]): string[][] => {
    const loop = new BlockLoop(new SparseBacking(MIB), { config: { discard }, byteOrder: 'big' });
    const { driver } = loop;
    const slot = driver.take();
    for (const [i, [sector, sectors]] of ranges.entries()) driver.setRange(slot, i, sector, sectors);
    expect(driver.submitRanges(slot, VIRTIO_BLK_T_DISCARD, ranges.length, 0)).toBe(0);
    expect(loop.run()).toBe(1);
    expect(driver.completedStatus[0]).toBe(VIRTIO_BLK_S_OK);
    driver.give(slot);
    loop.dispose();
    return loop.ranges;
  };

  it('go together as far as the device takes their sectors', () => {
    expect(
      send([
        [0, 8],
        [100, 12],
        [200, 1],
      ]),
    ).toEqual([['0+8', '100+12'], ['200+1']]);
    expect(
      send([
        [0, 18],
        [100, 30],
        [301, 1],
      ]),
    ).toEqual([['0+18', '100+2'], ['102+18'], ['120+10', '301+1']]);
  });

  it('are no more than the driver was made for', () => {
    const loop = new BlockLoop(new SparseBacking(MIB), { config: { discard } });
    const slot = loop.driver.take();
    expect(loop.driver.mostRanges).toBe(3);
    for (const count of [0, 4])
      expect(() => loop.driver.submitRanges(slot, VIRTIO_BLK_T_DISCARD, count, 0)).toThrow(RangeError);
    loop.dispose();
  });
});
