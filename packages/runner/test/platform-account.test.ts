import type { Platform } from '@virtio-platform/core';
import type { ComposedRun } from '@virtio-platform/profile';
import { describe, expect, it } from 'vitest';
import { leaksOf, statisticsOf } from '../src/report/platform-account.ts';

const LOCATION = { file: '/profiles/own.yaml', line: 3, column: 8 };

function runOf(platform: object, machine: object = {}): ComposedRun {
  const use = { use: './own.js', location: LOCATION, options: {} };
  return {
    platform: platform as Platform,
    machine,
    profile: { platform: use, machine: use },
  } as unknown as ComposedRun;
}

function throwing(name: string): object {
  return Object.defineProperty({}, name, {
    get() {
      throw new Error('the table is torn');
    },
  });
}

describe('what a report says of a platform', () => {
  it('is what the platform could not take back, with addresses in hexadecimal', () => {
    const entries = [{ what: 'grant 12 is in use', address: 0x7000, length: 4096 }];
    expect(leaksOf(runOf({ leaks: { count: 3, entries } }), 0)).toEqual({
      count: 3,
      first: [{ what: 'grant 12 is in use', address: '0x7000', length: 4096 }],
    });
  });

  it('is what its mappings count where it says nothing', () => {
    expect(leaksOf(runOf({}), 2)).toEqual({ count: 2, first: [] });
  });

  it('has the first 256 leaks', () => {
    const entries = Array.from({ length: 1000 }, () => ({ what: 'a page', address: 0, length: 1 }));
    expect(leaksOf(runOf({ leaks: { count: 1000, entries } }), 0).first).toHaveLength(256);
  });

  it('is its statistics, and none where it has none', () => {
    const statistics = { grants: { used: 12, free: 500, inUse: 1 } };
    expect(statisticsOf(runOf({ statistics }))).toEqual(statistics);
    expect(statisticsOf(runOf({}))).toEqual({});
    const ofMachine = { 'dirty log': { pages: 3 } };
    expect(statisticsOf(runOf({ statistics }, { statistics: () => ofMachine }))).toEqual({
      ...statistics,
      ...ofMachine,
    });
    const wrong = runOf({}, { statistics: () => ({ pages: 3 }) });
    expect(() => statisticsOf(wrong)).toThrow(/its `statistics` is not groups of finite numbers/);
  });

  it.each([
    ['leaks', null],
    ['leaks', 3],
    ['leaks', []],
    ['leaks', { count: -1, entries: [] }],
    ['leaks', { count: 1, entries: [{ what: 'a page', address: -1, length: 1 }] }],
    ['leaks', { count: 1, entries: [{ address: 0, length: 1 }] }],
    ['statistics', null],
    ['statistics', { grants: 3 }],
    ['statistics', { grants: { used: Number.NaN } }],
    ['statistics', { grants: { used: 'many' } }],
  ])('names the plugin, the member and the place where %s is %j', (name, value) => {
    const run = runOf({ [name]: value });
    const reading = (): unknown => (name === 'leaks' ? leaksOf(run, 0) : statisticsOf(run));
    expect(reading).toThrow(
      expect.objectContaining({
        code: 'ERR_PLUGIN_HOOK',
        message: expect.stringMatching(new RegExp(`own\\.js.*\`${name}\` is not .*own\\.yaml:3:8`)),
      }),
    );
  });

  it.each(['leaks', 'statistics'])('keeps the cause where %s throws', (name) => {
    const run = runOf(throwing(name));
    const reading = (): unknown => (name === 'leaks' ? leaksOf(run, 0) : statisticsOf(run));
    expect(reading).toThrow(
      expect.objectContaining({
        code: 'ERR_PLUGIN_HOOK',
        cause: expect.objectContaining({ message: 'the table is torn' }),
      }),
    );
  });
});
