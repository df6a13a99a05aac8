import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import {
  BALLOON_CONFIG,
  balloonQueues,
  POISON,
  VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
  VIRTIO_BALLOON_F_FREE_PAGE_HINT,
  VIRTIO_BALLOON_F_PAGE_REPORTING,
  VIRTIO_BALLOON_F_STATS_VQ,
} from '@virtio-platform/device-balloon';
import { describe, expect, it } from 'vitest';
import { ALL, BalloonLoop } from './balloon-loop.ts';

const PLAIN = FeatureSet.of(VIRTIO_F_VERSION_1);

/** Moves pages until the balloon has what the device asks for. */
function reachTarget(loop: BalloonLoop, batch = 64): void {
  const { driver } = loop;
  loop.run();
  for (let rounds = 0; driver.planned !== driver.target || driver.inFlight > 0; rounds++) {
    if (rounds > 1000) throw new Error(`the balloon has ${driver.size} of ${driver.target} pages`);
    const wanted = driver.target - driver.planned;
    if (wanted > 0) driver.inflate(Math.min(wanted, batch));
    else if (wanted < 0) driver.deflate(Math.min(-wanted, batch));
    loop.run();
  }
}

function config(loop: BalloonLoop, { offset }: { readonly offset: number }): number {
  return new DataView(loop.device.config.buffer).getUint32(offset, true);
}

describe.each(['little', 'big'] as const)('the driver half, %s-endian', (byteOrder) => {
  const accepted = byteOrder === 'little' ? ALL : ALL.without(VIRTIO_F_VERSION_1);

  it('inflates to the target, says so in actual, and gives the device exactly its pages', () => {
    const loop = new BalloonLoop({ settings: { targets: ['1MiB'] }, accepted, byteOrder });
    reachTarget(loop);
    expect([loop.driver.size, config(loop, BALLOON_CONFIG.actual), loop.device.given.count]).toEqual([256, 256, 256]);
    for (let page = 0; page < loop.rings.memory.size / 4096; page++)
      expect(loop.device.given.has(page)).toBe(loop.driver.holds(page * 4096));
    expect(loop.rings.reported).toEqual([]);
    loop.end();
  });

  it('answers statistics with the list of tags', () => {
    const loop = new BalloonLoop({ settings: { targets: ['1MiB'] }, accepted, byteOrder });
    reachTarget(loop);
    loop.device.askStatistics();
    loop.run();
    loop.run();
    const { values } = loop.device.statistics;
    expect(loop.driver.statistics?.answered).toBe(1);
    expect(values.every((value) => value !== undefined)).toBe(true);
    const { memory } = loop.rings;
    expect([Number(values[4]), Number(values[5])]).toEqual([memory.size - memory.allocated, memory.size]);
    loop.end();
  });
});

describe('the driver half of a balloon', () => {
  it('deflates when the target shrinks, and frees the pages only once the device acknowledged that', () => {
    const loop = new BalloonLoop({ settings: { targets: ['1MiB', '256KiB'] } });
    const { driver, rings } = loop;
    loop.run();
    driver.inflate(256);
    loop.run();
    expect([driver.size, driver.target]).toEqual([256, 64]);
    const before = rings.memory.allocated;
    driver.deflate(192);
    driver.publish();
    expect([driver.size, driver.planned, rings.memory.allocated]).toEqual([256, 64, before]);
    loop.run();
    expect([driver.size, before - rings.memory.allocated]).toEqual([64, 192 * 4096]);
    expect(rings.reported).toEqual([]);
    loop.end();
  });

  it('writes the poison before it starts, and to pages that leave the balloon', () => {
    const loop = new BalloonLoop({ settings: { targets: ['256KiB', '0B'] } });
    expect(config(loop, BALLOON_CONFIG.poison_val)).toBe(POISON);
    loop.driver.inflate(64);
    loop.run();
    const page = Array.from({ length: 4096 }, (_, i) => i * 4096).find((address) => loop.driver.holds(address))!;
    loop.driver.deflate(64);
    loop.run();
    expect(loop.rings.memory.u32[page / 4]).toBe(POISON);
    loop.end();
  });

  it('respects pages of 64 KiB: 16 numbers for each, and a target that is no whole number of them', () => {
    const loop = new BalloonLoop({ settings: { targets: [100 * 4096] }, pageSize: 64 * 1024 });
    reachTarget(loop);
    // Linux aligns the target up.
    expect([loop.driver.size, config(loop, BALLOON_CONFIG.actual), loop.device.given.count]).toEqual([7, 112, 112]);
    expect(loop.driver.inflate(1000)).toBe(16);
    loop.end();
  });

  it('gives what it can where the guest has not enough pages, and goes on once there are some', () => {
    const loop = new BalloonLoop({ settings: { targets: ['64MiB'] } });
    const { driver } = loop;
    let given = driver.inflate(256);
    for (; given > 0; given = driver.inflate(256)) loop.run();
    expect([given, driver.pages.take()]).toEqual([0, -1]);
    const all = driver.size;
    driver.deflate(1);
    loop.run();
    expect([driver.size, driver.inflate(256)]).toEqual([all - 1, 1]);
    loop.end();
  });

  it('has only the queues, fields and duties of features that were accepted', () => {
    const loop = new BalloonLoop({ accepted: PLAIN });
    const { driver } = loop;
    expect([driver.statistics, driver.hints, driver.reports, driver.poison]).toEqual(Array(4).fill(undefined));
    expect([driver.mayDeflateOnOom, driver.report(4), config(loop, BALLOON_CONFIG.poison_val)]).toEqual([false, 0, 0]);
    loop.end();
    const oom = new BalloonLoop({ accepted: PLAIN.with(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) });
    expect(oom.driver.mayDeflateOnOom).toBe(true);
    oom.end();
  });

  it('reports free blocks as mapped buffers, which come back with the poison', () => {
    const loop = new BalloonLoop({ buffers: 'streaming' });
    const { driver, rings } = loop;
    const { mapping } = rings.queues(4)[0]!;
    const { maps } = mapping.statistics;
    expect(driver.report(3)).toBe(3);
    expect([driver.report(3), mapping.statistics.maps - maps]).toEqual([0, 3]);
    loop.run();
    const reports = driver.reports!;
    expect([reports.poll(), reports.isReturned, reports.firstUnpoisoned(POISON)]).toEqual([1, true, -1]);
    rings.memory.u8[reports.block(1) + 5] = 0;
    expect(reports.firstUnpoisoned(POISON)).toBe(reports.block(1) + 4);
    reports.release();
    expect([loop.device.reportedBytes, driver.report(1)]).toEqual([3 * 4 * 4096, 1]);
    loop.end();
  });

  it('hints free blocks between the id of the device and STOP, and uses them when the device is done', () => {
    const loop = new BalloonLoop({ settings: { hints: true } });
    const { driver, device } = loop;
    driver.configChanged();
    for (let i = 0; i < 20; i++) loop.run();
    expect([driver.hints?.rounds, device.hints.completed, driver.hints?.hinted]).toEqual([1, 1, 0]);
    expect(device.hints.hintedBytes).toBe(64 * 4 * 4096);
    expect(config(loop, BALLOON_CONFIG.free_page_hint_cmd_id)).toBe(1);
    // The second round is stopped in between, and goes on with another id.
    device.hints.ask();
    const { offset } = BALLOON_CONFIG.free_page_hint_cmd_id;
    new DataView(device.config.buffer).setUint32(offset, device.hints.configured, true);
    driver.configChanged();
    for (let i = 0; i < 40; i++) loop.run();
    expect([device.hints.completed, driver.hints?.rounds, driver.hints?.hinted]).toEqual([2, 3, 0]);
    expect(loop.rings.reported).toEqual([]);
    loop.end();
  });
});

/** The places of the queues for statistics, hints and reports on a device with queues of these sizes. */
function placesOf(sizes: readonly number[], ...features: readonly number[]): (number | undefined)[] {
  const loop = new BalloonLoop();
  loop.transport.maxQueueSize = (queue) => sizes[queue] ?? 0;
  const negotiated = {
    transport: loop.transport,
    accepted: FeatureSet.of(...features),
    byteOrder: 'little',
  } as const;
  const { statistics, hints, reports } = balloonQueues(negotiated);
  loop.end();
  return [statistics, hints, reports];
}

describe('the queues of a balloon', () => {
  const [S, H, R] = [VIRTIO_BALLOON_F_STATS_VQ, VIRTIO_BALLOON_F_FREE_PAGE_HINT, VIRTIO_BALLOON_F_PAGE_REPORTING];

  it('have the numbers of the specification on a device that has them', () => {
    expect(placesOf([1, 1, 1, 1, 1], S, H, R)).toEqual([2, 3, 4]);
    expect(placesOf([1, 1, 0, 0, 1], R)).toEqual([undefined, undefined, 4]);
    expect(placesOf([1, 1, 0, 1, 0], H)).toEqual([undefined, 3, undefined]);
  });

  it('have no gap on QEMU, which always has that of statistics', () => {
    expect(placesOf([1, 1, 1, 1], S, R)).toEqual([2, undefined, 3]);
    expect(placesOf([1, 1, 1, 1], R)).toEqual([undefined, undefined, 3]);
    // Linux would take queue 3 here, which is that of the hints.
    expect(placesOf([1, 1, 1, 1, 1], S, R)).toEqual([2, undefined, 4]);
  });

  it('have no gap on a device that counts like Linux', () => {
    expect(placesOf([1, 1, 1], R)).toEqual([undefined, undefined, 2]);
    expect(placesOf([1, 1, 1, 1], H, R)).toEqual([undefined, 2, 3]);
  });
});

describe('a workload whose device wants more than the guest has', () => {
  it('says so', async () => {
    const accepted = ALL.without(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
    const loop = new BalloonLoop({ settings: { targets: ['32MiB'] }, accepted });
    await expect(loop.work({ reports: 0 }, 100_000)).rejects.toMatchObject({
      code: 'ERR_DMA_EXHAUSTED',
      message: expect.stringMatching(/^the balloon is to have 32MiB, has \d+KiB, and no page is free$/),
    });
    loop.end();
  });

  it('goes on where it may take pages back', async () => {
    const loop = new BalloonLoop({ settings: { targets: ['32MiB'] } });
    expect(await loop.work({}, 2000)).toMatchObject({ requests: 2000, mismatches: { counts: {} } });
    expect(loop.rings.reported).toEqual([]);
    loop.end();
  });
});
