import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { benchParts } from '@virtio-platform/bench';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkPeers, withPeers } from '../../src/bench/add-peers.ts';
import { readBenchReport, readPeers } from '../../src/bench/bench-files.ts';
import { BENCH_PARTS } from '../../src/bench/bench-words.ts';
import { reportOf, resultOf } from './bench-results.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-bench-files-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function written(name: string, value: unknown): string {
  writeFileSync(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));
  return name;
}

const CASE = 'ends/split/driver/1-descriptor/batch-32';
const PEER = { name: 'other', measured: 'here', figures: { [CASE]: [20, 22] } };

describe('the parts of the command', () => {
  it('are those that there are', () => {
    expect(benchParts('main.js').map(({ name }) => name)).toEqual([...BENCH_PARTS]);
  });
});

describe('a saved report', () => {
  it('is read as it was written', () => {
    const report = reportOf([resultOf(CASE, [24, 25], [8, 9])]);
    expect(readBenchReport(folder, written('report.json', report))).toEqual(report);
  });

  it.each([
    ['nothing', 'missing.json', undefined, 'ENOENT'],
    ['no JSON', 'no.json', '{', 'JSON'],
    ['of another version', 'version.json', { ...reportOf([]), schemaVersion: 2 }, 'schemaVersion: '],
    ['without figures', 'empty.json', reportOf([{ ...resultOf(CASE, [1]), figures: [] }]), 'results.0.figures: '],
  ])('that is %s is refused, with the place', (_, name, value, said) => {
    if (value !== undefined) written(name, value);
    expect(() => readBenchReport(folder, name)).toThrow(
      expect.objectContaining({ code: 'ERR_BENCH_FILE', message: expect.stringContaining(said) }),
    );
  });
});

describe('figures of other rings', () => {
  it('stand beside ours, with the ratio', () => {
    const peers = readPeers(folder, written('peers.json', { schemaVersion: 1, peers: [PEER] }));
    checkPeers(peers, benchParts());
    const { figures } = withPeers(resultOf(CASE, [25, 30]), peers);
    expect(figures[1]).toEqual({
      subject: 'other',
      best: 20,
      processes: [20, 22],
      spread: 0.1,
      percentiles: null,
      bytesPerRequest: null,
      ratio: 1.25,
    });
    expect(withPeers(resultOf('ends/other', [1]), peers).figures).toHaveLength(1);
  });

  it.each([
    ['a time that is no time', [{ ...PEER, figures: { [CASE]: [0] } }], `peers.0.figures.${CASE}.0: `],
    ['no times', [{ ...PEER, figures: { [CASE]: [] } }], `peers.0.figures.${CASE}: `],
    ['an unknown key', [{ ...PEER, speed: 1 }], 'peers.0: '],
    ['no name', [{ figures: {} }], 'peers.0.name: '],
    ['no peer', [], 'peers: '],
  ])('with %s are refused, with the place', (_, peers, said) => {
    const name = written('bad.json', { schemaVersion: 1, peers });
    expect(() => readPeers(folder, name)).toThrow(
      expect.objectContaining({ code: 'ERR_BENCH_FILE', message: expect.stringContaining(said) }),
    );
  });

  it('for an id that is not a case are refused, with the nearest id', () => {
    const peers = [{ ...PEER, figures: { 'ends/split/driver/1-descriptors/batch-32': [1] } }];
    expect(() => checkPeers(peers, benchParts())).toThrow(
      expect.objectContaining({ code: 'ERR_BENCH_CASE', hint: `did you mean ${CASE}?` }),
    );
  });
});
