import { describe, expect, it } from 'vitest';
import type { ProfileObject } from '@virtio-platform/profile';
import { isFailure, type CaseResult } from '../src/index.ts';
import { BUGS } from './broken/all-bugs.ts';
import { BLOCK_FRAMING_FOUND_BY } from './broken/block-framing-bugs.ts';
import type { Bug } from './broken/broken-device.ts';
import { FOUND_BY } from './broken/found-by.ts';
import { straying, UNTRANSLATED } from './broken/space-bugs.ts';
import { embeddedBlockOn, failuresIn, tryBug } from './broken/try-bug.ts';

const IS_ALL = process.env['ALL_BUGS'] !== undefined;
/** In short: cases that reach memory in their own ways. `npm run bugs` tries all, with every bug. */
const SHORT = /^(ring\/(request|table|returned|laps|readable|wrap)|queue-reset\/|hostile\/V(0[5-9]|1))/;
const SHORT_BUGS: readonly string[] = [
  'writes to a buffer that it returned before',
  'writes behind the writable part',
  'writes to an indirect table',
  'writes to the ring that it had before a reset',
];

/** Its case asks for what a device offers by itself, and here the profile says what is offered. */
const OF_OWN_OFFER = 'has no flush';
const FOUND: Readonly<Record<string, readonly string[]>> = { ...FOUND_BY, ...BLOCK_FRAMING_FOUND_BY };

const PLATFORMS: readonly (readonly [path: string, platform: NonNullable<ProfileObject['platform']>])[] = [
  ['physical', { use: '@virtio-platform/platform-legacy' }],
  ['linear', { use: '@virtio-platform/platform-pseries', window: { kind: 'ddw', mapping: 'linear' } }],
  ['translated', { use: '@virtio-platform/platform-intel-iommu' }],
  ['bounced', { use: '@virtio-platform/platform-sev', pool: '8MiB' }],
];

/** What became of the cases that have to find a bug; `ring/laps` stands for both layouts. */
async function findsOf(
  platform: NonNullable<ProfileObject['platform']>,
  bug: Bug,
  ids: readonly string[],
): Promise<{
  readonly found: readonly string[];
  readonly tried: readonly CaseResult[];
  readonly results: readonly CaseResult[];
}> {
  const isWanted = (id: string): boolean => ids.some((entry) => id === entry || id.startsWith(`${entry}/`));
  const results = await tryBug(await embeddedBlockOn(platform), bug, isWanted);
  return { found: failuresIn(results), tried: results.filter(({ verdict }) => verdict !== 'skip'), results };
}

describe.each(PLATFORMS)('addresses that are %s', (path, platform) => {
  it('let the shipped device pass every case', { timeout: 120_000 }, async () => {
    const results = await tryBug(await embeddedBlockOn(platform), undefined, (id) => IS_ALL || SHORT.test(id));
    expect(results.filter(isFailure).map(({ id, verdict, seen }) => `${verdict} ${id}: ${seen}`)).toEqual([]);
    expect(results.filter(({ verdict }) => verdict === 'pass').length).toBeGreaterThan(IS_ALL ? 350 : 70);
  });

  it('let no device reach what it was not given', async () => {
    // Where nothing is; and behind a pool of shared pages also what is private to the guest.
    const places: readonly (readonly [low: number, high: number])[] = [
      [0xffff_f000, 0x7fff_ffff],
      ...(path === 'bounced' ? [[0xff_f000, 0] as const] : []),
    ];
    for (const bug of places.flatMap(([low, high]) => straying(low, high))) {
      const { found, results } = await findsOf(platform, bug, ['ring/request/split']);
      expect(found).toEqual(['ring/request/split']);
      expect(results[0]!.seen).toMatch(
        /asked to (read|write) \d+ bytes at 0x(7ffffffffffff|fff)000|byte 0xfff000, which was never given/,
      );
    }
    if (path === 'physical' || path === 'bounced') return;
    const { found } = await findsOf(platform, UNTRANSLATED, ['ring/request']);
    expect(found).toEqual(['ring/request/split', 'ring/request/packed']);
  });

  const bugs = BUGS.filter(({ name }) => (IS_ALL ? name !== OF_OWN_OFFER : SHORT_BUGS.includes(name)));
  it.each(bugs.map((bug) => [bug.name, bug] as const))('let a device be found that %s', async (name, bug) => {
    const { found, tried } = await findsOf(platform, bug, FOUND[name]!);
    expect(tried.length).toBeGreaterThan(0);
    expect(found).toEqual(tried.map(({ id }) => id));
  });
});
