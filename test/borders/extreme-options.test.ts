import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isCodedError } from '@virtio-platform/core';
import { loadProfiles } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import { afterAll, describe, expect, it } from 'vitest';
import { drawCombination } from './extreme-options.ts';
import { Random } from '@virtio-platform/conformance';

/** How many combinations are tried. `VIRTIO_PLATFORM_SWEEP=5000` tries more, `VIRTIO_PLATFORM_SEED=2` others. */
const COUNT = Number(process.env['VIRTIO_PLATFORM_SWEEP'] ?? 120);
const SEED = Number(process.env['VIRTIO_PLATFORM_SEED'] ?? 1);

/** A correct device that does one of these does so because our driver or our device is wrong. */
const NEVER = /^ERR_(DEVICE_(STALLED|LOST|NEEDS_RESET|FROZEN|RESET_TIMEOUT|CONFIG$|CONFIG_UNSTABLE)|QUEUE_BROKEN)/;

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What is wrong with a run; `undefined` for one that was refused by code, or completed and verified. */
function problemOf({ outcome, refusal, failure, workload, dma, faults, differences }: RunReport): string | undefined {
  if (dma.live !== 0) return `${dma.live} mappings are live`;
  if (faults.length > 0) return `a fault: ${JSON.stringify(faults[0])}`;
  if (outcome === 'refused') return refusal === null ? 'refused without a refusal' : undefined;
  if (outcome === 'failed') {
    if (failure === null) return 'failed without a failure';
    return NEVER.test(failure.code) ? `${failure.code}: ${failure.message}` : undefined;
  }
  if (!workload.verified || workload.errors > 0) return `not verified: ${workload.errors} errors`;
  return differences.length === 0 ? undefined : `differences: ${JSON.stringify(differences)}`;
}

async function tryOne(text: string): Promise<string> {
  const path = join(folder, 'extreme.yaml');
  writeFileSync(path, text);
  try {
    const [profile] = await loadProfiles(path);
    const report = await runProfile(profile!);
    const problem = problemOf(report);
    return problem === undefined
      ? `${report.outcome} ${report.failure?.code ?? report.refusal?.code ?? ''}`.trim()
      : `problem: ${problem}`;
  } catch (error) {
    if (isCodedError(error)) return error.code;
    return `problem: ${error instanceof Error ? error.stack : String(error)}`;
  }
}

describe('every combination of extreme options', () => {
  it(`Borders is refused by code, or completed and verified, and leaks nothing (${COUNT} of them)`, async () => {
    const random = new Random(SEED);
    const outcomes = new Map<string, number>();
    const problems: string[] = [];
    for (let i = 0; i < COUNT; i++) {
      const { name, text } = drawCombination(random);
      const outcome = await tryOne(text);
      if (outcome.startsWith('problem')) problems.push(`${outcome}\n    ${name}`);
      else outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    if (process.env['VIRTIO_PLATFORM_SWEEP'] !== undefined) console.info(Object.fromEntries(outcomes));
    expect(problems.join('\n')).toBe('');
    // A sweep that everything refuses tries nothing.
    expect(outcomes.get('completed')).toBeGreaterThan(COUNT / 5);
  }, 3_600_000);
});
