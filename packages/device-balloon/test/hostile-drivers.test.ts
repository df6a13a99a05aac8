import { VIRTIO_F_ACCESS_PLATFORM, type FeatureSet } from '@virtio-platform/core/features';
import { VIRTIO_BALLOON_F_MUST_TELL_HOST, VIRTIO_BALLOON_F_PAGE_POISON } from '@virtio-platform/device-balloon';
import { describe, expect, it } from 'vitest';
import { ALL, BalloonLoop } from './balloon-loop.ts';

const [INFLATE, DEFLATE, STATS, HINTS, REPORTS] = [0, 1, 2, 3, 4];

function words(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

/** One statistic. */
function statistic(tag: number, value: number): number[] {
  const bytes = Buffer.alloc(10);
  bytes.writeUInt16LE(tag, 0);
  bytes.writeBigUInt64LE(BigInt(value), 2);
  return [...bytes];
}

/** A device half that a test gives buffers of its own. */
function open(accepted: FeatureSet = ALL) {
  const loop = new BalloonLoop({ accepted });
  const { rings, device } = loop;
  return { loop, rings, device, problems: () => rings.reported.map((error) => (error as Error).message) };
}

/** A page of the guest with some content. */
function usedPage({ rings }: ReturnType<typeof open>, content = 0x77): number {
  const address = rings.memory.allocate(4096);
  rings.memory.u8.fill(content, address, address + 4096);
  return address / 4096;
}

describe('the device half of a balloon', () => {
  it('loses what was in a page that it is given', () => {
    const opened = open();
    const page = usedPage(opened);
    expect(opened.rings.exchange(INFLATE, words(page))).toEqual([]);
    expect(opened.rings.memory.u8.subarray(page * 4096, (page + 1) * 4096).includes(0x77)).toBe(false);
    expect([opened.device.given.count, opened.problems()]).toEqual([1, []]);
  });

  it.each([
    ['beyond memory', [0xf_ffff], 'has page 1048575, which is outside of memory'],
    ['the last number there is', [0xffff_ffff], 'has page 4294967295, which is outside of memory'],
  ])('ignores a page number %s', (_what, numbers, problem) => {
    const { rings, device, problems } = open();
    expect(rings.exchange(INFLATE, words(...numbers))).toEqual([]);
    expect([device.given.count, rings.faults.count]).toEqual([0, 0]);
    expect(problems()).toEqual([expect.stringContaining(problem)]);
    expect((rings.reported[0] as { code: string }).code).toBe('ERR_DRIVER_REQUEST');
  });

  it('ignores a page that is given twice, or taken back and never given', () => {
    const opened = open();
    const page = usedPage(opened);
    opened.rings.exchange(INFLATE, words(page, page));
    expect(opened.problems()).toEqual([expect.stringContaining(`page ${page}, which is in the balloon already`)]);
    opened.rings.exchange(DEFLATE, words(page, page));
    expect(opened.problems()[1]).toContain(`page ${page}, which is not in the balloon`);
    expect(opened.device.given.count).toBe(0);
  });

  it('handles the whole numbers of a buffer whose length is none', () => {
    const opened = open();
    const page = usedPage(opened);
    opened.rings.exchange(INFLATE, [...words(page), 1, 2, 3]);
    expect([opened.device.given.has(page), opened.problems()]).toEqual([
      true,
      [expect.stringContaining('of 7 bytes is no list of page numbers')],
    ]);
    opened.rings.exchange(INFLATE, [1]);
    expect(opened.problems()).toHaveLength(2);
  });

  it('does nothing with buffers that it cannot read, or that are only to be written', () => {
    const { rings, device } = open();
    expect(rings.exchange(INFLATE, [], 64)).toEqual([]);
    expect(device.given.count).toBe(0);
  });

  it('notices a driver that uses a page before it told so, with MUST_TELL_HOST', () => {
    const opened = open();
    const page = usedPage(opened);
    opened.rings.exchange(INFLATE, words(page));
    opened.rings.memory.u8[page * 4096 + 9] = 1;
    opened.rings.exchange(DEFLATE, words(page));
    expect(opened.problems()).toEqual([expect.stringContaining(`page ${page}, which was written while`)]);
    // What the driver wrote is lost.
    expect(opened.rings.memory.u8[page * 4096 + 9]).not.toBe(1);
  });

  it('lets a driver use a page at once without MUST_TELL_HOST', () => {
    const opened = open(ALL.without(VIRTIO_BALLOON_F_MUST_TELL_HOST));
    const page = usedPage(opened);
    opened.rings.exchange(INFLATE, words(page));
    opened.rings.memory.u8[page * 4096 + 9] = 1;
    opened.rings.exchange(DEFLATE, words(page));
    expect([opened.problems(), opened.rings.memory.u8[page * 4096 + 9]]).toEqual([[], 1]);
  });

  it('touches no page where ACCESS_PLATFORM was forced on it: its address space translates', () => {
    const opened = open(ALL.with(VIRTIO_F_ACCESS_PLATFORM));
    const page = usedPage(opened);
    opened.rings.exchange(INFLATE, words(page));
    expect([opened.device.given.count, opened.rings.memory.u8[page * 4096]]).toEqual([1, 0x77]);
  });

  it.each([
    ['no whole entries', [1, 2, 3], 'of 3 bytes is no list of statistics'],
    ['an entry twice', [...statistic(4, 1), ...statistic(4, 2)], 'has statistic 4 twice'],
    ['more free than there is', [...statistic(5, 8), ...statistic(4, 9)], 'says that 9 of 8 bytes are free'],
  ])('says what is wrong with statistics of %s', (_what, bytes, problem) => {
    const { rings, problems } = open();
    rings.add(STATS, bytes);
    rings.serve();
    expect(problems()).toEqual([expect.stringContaining(problem)]);
  });

  it('takes statistics in any order, ignores tags that it does not know, and gives a second buffer back', () => {
    const { rings, device, problems } = open();
    rings.add(STATS, [...statistic(9, 3), ...statistic(77, 1), ...statistic(0, 5)]);
    rings.serve();
    expect([device.statistics.values[9], device.statistics.values[0], device.statistics.values[4]]).toEqual([
      3n,
      5n,
      undefined,
    ]);
    expect(rings.exchange(STATS, statistic(0, 6))).toEqual([]);
    expect(problems()).toEqual([expect.stringContaining('is there while the device has another one')]);
  });

  it('counts hints of the round that it asked for, and no others', () => {
    const { rings, device, problems } = open();
    device.hints.ask();
    rings.exchange(HINTS, [], 4096);
    rings.exchange(HINTS, words(99));
    rings.exchange(HINTS, [], 4096);
    expect(device.hints.hintedBytes).toBe(0);
    rings.exchange(HINTS, words(device.hints.configured));
    rings.exchange(HINTS, [], 8192);
    expect([device.hints.hintedBytes, problems()]).toEqual([8192, []]);
    rings.exchange(HINTS, [1, 2]);
    rings.exchange(HINTS, [], 5);
    expect(problems()).toEqual([
      expect.stringContaining('has a command id of 2 bytes'),
      expect.stringContaining('hints 5 bytes, which are no pages'),
    ]);
    rings.exchange(HINTS, words(0));
    expect([device.hints.completed, device.hints.configured]).toEqual([1, 1]);
  });

  it('writes nothing but the poison to reported pages, or with no poison what it likes', () => {
    const { rings, device, problems } = open();
    // What the driver half wrote before it started the device, and writes no more.
    expect(rings.exchange(REPORTS, [], 4096)).toEqual(Array(4096).fill(0xaa));
    device.writeConfig(12, words(0x1122_3344));
    expect(rings.exchange(REPORTS, [], 4096)).toEqual(Array(4096).fill(0xaa));
    device.start(ALL);
    expect(rings.exchange(REPORTS, [], 4096)).toEqual([...words(...Array<number>(1024).fill(0x1122_3344))]);
    device.start(ALL.without(VIRTIO_BALLOON_F_PAGE_POISON));
    expect(rings.exchange(REPORTS, [], 4096)).toEqual(Array(4096).fill(0xba));
    expect(rings.exchange(REPORTS, [1], 4096)).toEqual([]);
    expect(rings.exchange(REPORTS, [], 100)).toEqual([]);
    expect(problems()).toHaveLength(2);
  });

  it('goes to the next target when the driver reached one, or does not reach it', () => {
    const loop = new BalloonLoop({ settings: { targets: ['1MiB', '0B', '64KiB'] } });
    const { device, rings } = loop;
    const target = (): number => new DataView(device.config.buffer).getUint32(0, true);
    expect(target()).toBe(256);
    device.writeConfig(4, words(100));
    expect(target()).toBe(256);
    device.writeConfig(4, words(256));
    expect(target()).toBe(0);
    device.writeConfig(4, words(0));
    expect(target()).toBe(16);
    for (let i = 0; i < 64; i++) rings.exchange(INFLATE, words(100 + i));
    expect(target()).toBe(256);
    device.start(ALL);
    expect([target(), device.given.count]).toEqual([256, 0]);
  });

  it('takes a page a second time after a queue was reset: the driver cannot know what was handled', () => {
    const opened = open();
    const page = usedPage(opened);
    opened.rings.exchange(INFLATE, words(page));
    opened.device.forget(INFLATE);
    opened.rings.exchange(INFLATE, words(page));
    expect([opened.problems(), opened.device.given.count]).toEqual([[], 1]);
  });
});
