import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { openBlock } from '../src/index.ts';
import { HERE, lateDisk } from './late-profile.ts';

describe('a disk that answers at random times, in a thread of its own', () => {
  it('wakes its client each time: one request after the other, and several at once', async () => {
    await using disk = await openBlock(lateDisk('late', 'worker'), { ...HERE, depth: 4 });
    const lanes = Array.from({ length: 4 }, async (_, lane) => {
      for (let i = 0; i < 400; i++) await disk.read(((lane * 7 + i) % 100) * 512, 512);
    });
    await Promise.all(lanes);
    for (let i = 0; i < 400; i++) await disk.read((i % 100) * 512, 512);
    const { rescued, wakeUps } = disk.statistics;
    expect(rescued).toBe(0);
    expect(wakeUps).toBeGreaterThan(400);
  });

  it('never keeps the event loop: timers run while a request waits', async () => {
    await using disk = await openBlock({ ...lateDisk('hold', 'worker'), driver: { timeout: '60s' } }, HERE);
    const waiting = disk.read(0, 512).catch(() => {});
    const late: number[] = [];
    const before = process.cpuUsage();
    for (let i = 0; i < 30; i++) {
      const start = performance.now();
      await delay(10);
      late.push(performance.now() - start - 10);
    }
    const { user, system } = process.cpuUsage(before);
    // The median: the computer may have other work.
    expect(late.toSorted((a, b) => a - b)[15]).toBeLessThan(15);
    expect(user + system).toBeLessThan(200_000);
    await disk.destroy();
    await waiting;
  });
});
