import { readFileSync } from 'node:fs';
import { FUZZ_TARGETS, fuzzOnce, fuzzRings, VirtqueueFuzzer } from '@virtio-platform/conformance';
import { OutstandingBuffers, type UsedEntries } from '@virtio-platform/core/queue';
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
    vi.spyOn(OutstandingBuffers.prototype, 'takeBack').mockImplementation((used, from, most, batch) => {
      let position = from;
      for (; batch.count < most && used.isUsed(position); position = used.positionBehind(position, 1)) {
        batch.ids[batch.count] = used.usedIdAt(position);
        batch.written[batch.count++] = 0;
      }
      return position;
    });
    expect(() => fuzzRings('driver', 1, 2000)).toThrow(/seed \d+/);
  });

  it('finds a ring that takes any length', () => {
    // oxlint-disable-next-line typescript/unbound-method -- it is called with its object below
    const { takeBack } = OutstandingBuffers.prototype;
    vi.spyOn(OutstandingBuffers.prototype, 'takeBack').mockImplementation(function (this: OutstandingBuffers, ...args) {
      const [used, position, most, batch] = args;
      const before = batch.count;
      const behind = takeBack.call(this, { ...forwarding(used), usedLengthAt: () => 0 }, position, most, batch);
      batch.written.fill(0xffff_ffff, before, batch.count);
      return behind;
    });
    expect(() => fuzzRings('driver', 1, 2000)).toThrow(/seed \d+/);
  });

  it('finds a ring that forgets to unmap', () => {
    vi.spyOn(OutstandingBuffers.prototype, 'removeAll').mockReturnValue([]);
    expect(() => new VirtqueueFuzzer().run(3)).toThrow(/outstanding/);
  });
});

function forwarding(used: UsedEntries): UsedEntries {
  return {
    isUsed: (position) => used.isUsed(position),
    usedIdAt: (position) => used.usedIdAt(position),
    usedLengthAt: (position) => used.usedLengthAt(position),
    positionBehind: (position, slots) => used.positionBehind(position, slots),
  };
}
