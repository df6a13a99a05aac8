import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import block from '@virtio-platform/device-block';
import { afterAll, describe, expect, it } from 'vitest';
import {
  crashKey,
  fuzzDevice,
  generateHostile,
  generateLegal,
  isFailure,
  isHostile,
  operationText,
  plannedOperations,
  readOperations,
  shrinkOperations,
  type FuzzResult,
  type Operation,
  type Sample,
} from '../src/index.ts';
import { embeddedBlock, withBug } from './broken/try-bug.ts';

const profile = await embeddedBlock();
const { openModel } = block.cases!;
const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('random operations', () => {
  it('follow from their seed', () => {
    expect(generateLegal(7, 50)).toEqual(generateLegal(7, 50));
    expect(generateLegal(7, 50)).not.toEqual(generateLegal(8, 50));
    expect(isHostile(generateLegal(7, 500))).toBe(false);
    expect(isHostile(generateHostile(7, 50))).toBe(true);
  });

  it('pass on the shipped device with many seeds', async () => {
    const seen = await withBug(profile, undefined, async (runOne) => {
      const failed: string[] = [];
      for (let seed = 1; seed <= 6; seed++) {
        const layout = seed % 2 === 0 ? 'packed' : 'split';
        const result = await runOne(plannedOperations('random', layout, generateLegal(seed, 200), openModel));
        if (result.verdict !== 'pass') failed.push(`${seed}: ${result.seen}`);
      }
      return failed;
    });
    expect(seen).toEqual([]);
  });

  it.each([
    ['drops every write', 'split'],
    ['writes one sector too far', 'split'],
    ['forgets tables where a chain came before', 'split'],
    ['loses a list that goes around the end of the ring', 'packed'],
    ['returns buffers of a batch in reverse with IN_ORDER', 'split'],
  ] as const)('find a device that %s, as few of them as do', { timeout: 20_000 }, async (bug, layout) => {
    const found = await withBug(profile, bug, async (runOne) => {
      const fails = async (operations: readonly Operation[]): Promise<boolean> =>
        isFailure(await runOne(plannedOperations('random', layout, operations, openModel)));
      for (let seed = 1; seed < 20; seed++) {
        const operations = generateLegal(seed, 200);
        if (await fails(operations)) return await shrinkOperations(operations, fails);
      }
      return undefined;
    });
    expect(found).toBeDefined();
    expect(found!.length).toBeLessThanOrEqual(12);
    const shipped = await withBug(profile, undefined, (runOne) =>
      runOne(plannedOperations('replay', layout, found!, openModel)),
    );
    expect(shipped.verdict).toBe('pass');
  });
});

/** Fuzzes the shipped device with a bug. */
async function fuzz(bug: string | undefined, runs: number, corpus: readonly Sample[] = []): Promise<FuzzResult> {
  return await withBug(profile, bug, (runOne) =>
    fuzzDevice({ runs, seed: 1, layouts: ['split', 'packed'], openModel, corpus, runOne }),
  );
}

describe('fuzzing', () => {
  it('finds nothing in the shipped device', { timeout: 20_000 }, async () => {
    const { failures, samples, runs, ended } = await fuzz(undefined, 70);
    expect(failures.map(({ key, operations }) => [key, operations])).toEqual([]);
    expect([runs, ended]).toEqual([70, undefined]);
    expect(samples).toBeGreaterThan(10);
  });

  it.each([
    'does not check: descriptor-index-out-of-range',
    'writes to memory that it was never given after the ring broke',
  ])('finds a device that %s, and each bug once', { timeout: 20_000 }, async (bug) => {
    const { failures } = await fuzz(bug, 40);
    expect(failures.length).toBeGreaterThan(0);
    expect(new Set(failures.map(({ key }) => key)).size).toBe(failures.length);
    for (const { operations } of failures) expect(operations.length).toBeLessThanOrEqual(10);
    // The samples of one run are what the next one begins with.
    const again = await fuzz(bug, failures.length, failures);
    expect(again.failures.map(({ key }) => key)).toEqual(failures.map(({ key }) => key));
  });

  it('takes failures for one where the same function failed', () => {
    expect(crashKey('gone', asanReport('60200000'))).toBe('AddressSanitizer: heap-buffer-overflow in virtqueue_pop');
    expect(crashKey('gone', asanReport('70300000'))).toBe(crashKey('gone', asanReport('60200000')));
    const end = 'SUMMARY: AddressSanitizer: heap-use-after-free ring.c:33:5 in virtqueue_pop\nShadow bytes';
    expect(crashKey('gone', end)).toBe('AddressSanitizer: heap-use-after-free in virtqueue_pop');
    expect(
      crashKey('gone', `${asanReport('1').replace('virtqueue_pop', '__asan_memcpy')}\n    #1 0x5 in pop ring.c`),
    ).toBe('AddressSanitizer: heap-buffer-overflow in pop');
    expect(crashKey('gone', 'ring.c:12:3: runtime error: shift exponent 64 is too large')).toBe(
      'UndefinedBehaviorSanitizer: shift exponent N is too large',
    );
    expect(crashKey('hang', 'no buffer in 20 ms')).toBe(crashKey('hang', 'no buffer in 35 ms'));
  });
});

describe('a file of operations', () => {
  it('is read as it was written', () => {
    const path = join(folder, 'a.json');
    const operations = [...generateLegal(3, 40), ...generateHostile(4, 40)];
    writeFileSync(path, operationText({ type: 'block', layout: 'packed', seen: 'x', operations }));
    expect(readOperations(path)).toMatchObject({ type: 'block', layout: 'packed', operations });
  });

  it.each([
    ['[]', 'it is not virtio-platform-operations'],
    ['{', 'JSON'],
    [
      operationText({ type: 'block', layout: 'split', operations: [{ op: 'settle' }] }).replace('settle', 'x'),
      '1 is no operation',
    ],
    [
      operationText({ type: 'block', layout: 'split', operations: [{ op: 'head', head: -1 }] }),
      'operation 1 is no operation',
    ],
  ])('is refused in another form: %s', (text, why) => {
    const path = join(folder, 'b.json');
    writeFileSync(path, text);
    expect(() => readOperations(path)).toThrow(why);
  });
});

function asanReport(address: string): string {
  return (
    `it printed: ==12==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x${address}\n` +
    `    #0 0x55${address} in virtqueue_pop virtqueue.c:33`
  );
}
