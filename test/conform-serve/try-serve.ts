/**
 * `npm run conform:serve`: tries what `serve` serves, each device type with guest-physical addresses and behind an
 * IOMMU, with every case, and prints a table of verdicts. Words limit it: `npm run conform:serve -- block translated`.
 * Ends with 1 where a case failed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConformReport } from '@virtio-platform/conform';
import { ROOT, virtioPlatform } from '../command/command.ts';
import { driverProfile, SERVED_TYPES, servedProfile, WAYS } from './serve-profiles.ts';

const VERDICTS = ['pass', 'fail', 'hang', 'gone', 'skip'] as const;
const words = process.argv.slice(2);
const isChosen = (name: string, all: readonly string[]): boolean =>
  words.includes(name) || !words.some((word) => all.includes(word));

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
try {
  console.log(`${'device'.padEnd(22)}${[...VERDICTS, 'seconds'].map(column).join('')}`);
  for (const [name, { isTranslated = true }] of Object.entries(SERVED_TYPES)) {
    for (const way of isTranslated ? WAYS : (['physical'] as const))
      if (isChosen(name, Object.keys(SERVED_TYPES)) && isChosen(way, WAYS)) await tryServed(name, way);
  }
} finally {
  rmSync(folder, { recursive: true });
}

async function tryServed(name: string, way: (typeof WAYS)[number]): Promise<void> {
  const served = join(folder, `${name}-${way}.yaml`);
  const driven = join(folder, `${name}-${way}-driver.yaml`);
  writeFileSync(served, JSON.stringify(await servedProfile(name, way)));
  const main = join(ROOT, 'packages/cli/dist/main.js');
  const command = [process.execPath, main, 'serve', served, '--socket', '{socket}'];
  writeFileSync(driven, JSON.stringify(driverProfile(name, way, command)));
  const started = performance.now();
  const { status, stdout, stderr } = await virtioPlatform(['conform', '-j', '2', '--json', driven]);
  const seconds = Math.round((performance.now() - started) / 1000);
  if (status !== 0) process.exitCode = 1;
  if (stdout === '') return console.log(`${name}, ${way}: status ${status}, ${stderr}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what --json prints
  const { cases } = JSON.parse(stdout) as ConformReport;
  const counts = VERDICTS.map((wanted) => cases.filter(({ verdict }) => verdict === wanted).length);
  console.log(`${`${name}, ${way}`.padEnd(22)}${[...counts, seconds].map(column).join('')}`);
  for (const { id, verdict, seen } of cases)
    if (verdict !== 'pass' && verdict !== 'skip') console.log(`  ${id}: ${verdict}, ${seen}`);
}

function column(value: number | string): string {
  return String(value).padStart(9);
}
