import { readFileSync } from 'node:fs';
import { FUZZ_TARGETS, fuzzOnce, fuzzRings, VirtqueueFuzzer } from '@virtio-platform/conformance';
import { OutstandingBuffers } from '@virtio-platform/core/queue';
import { afterEach, describe, expect, it, vi } from 'vitest';

/** Seeds worth keeping, with what each comes to: the first of every outcome, and any that ever failed. */
const CORPUS = JSON.parse(readFileSync(new URL('./corpus/rings.json', import.meta.url), 'utf8')) as {
  target: (typeof FUZZ_TARGETS)[number];
  seed: number;
  outcome: string | null;
}[];

afterEach(() => {
  vi.restoreAllMocks();
});

describe('fuzzing the rings', () => {
  it.each(CORPUS)('$target with seed $seed comes to $outcome', ({ target, seed, outcome }) => {
    expect(fuzzOnce(target, seed) ?? null).toBe(outcome);
  });

  it.each(FUZZ_TARGETS)('finds nothing wrong with the %s’s end', (target) => {
    const { executions, outcomes } = fuzzRings(target, 1_000_000, 40_000);
    expect(executions).toBe(40_000);
    const kept = CORPUS.filter((entry) => entry.target === target).map(({ outcome }) => outcome);
    expect([...outcomes.keys()].map((outcome) => outcome ?? null).filter((outcome) => !kept.includes(outcome))).toEqual(
      [],
    );
  });

  it('finds a ring that believes any id', () => {
    vi.spyOn(OutstandingBuffers.prototype, 'isOutstanding').mockReturnValue(true);
    expect(() => fuzzRings('driver', 1, 2000)).toThrow(/seed \d+/);
  });

  it('finds a ring that takes any length', () => {
    vi.spyOn(OutstandingBuffers.prototype, 'writableOf').mockReturnValue(0xffff_ffff);
    expect(() => fuzzRings('driver', 1, 2000)).toThrow(/seed \d+/);
  });

  it('finds a ring that forgets to unmap', () => {
    vi.spyOn(OutstandingBuffers.prototype, 'removeAll').mockReturnValue([]);
    expect(() => new VirtqueueFuzzer().run(3)).toThrow(/outstanding/);
  });
});
