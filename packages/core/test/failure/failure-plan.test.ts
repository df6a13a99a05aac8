import { FailurePlan } from '@virtio-platform/core/failure';
import { describe, expect, it } from 'vitest';

function failuresOf(plan: FailurePlan, times: number): number[] {
  const failures: number[] = [];
  for (let time = 1; time <= times; time++) if (plan.next()) failures.push(time);
  return failures;
}

describe('FailurePlan', () => {
  it('fails at the times it is given, and every so many times', () => {
    expect(failuresOf(new FailurePlan({ nth: [1, 4, 5] }), 10)).toEqual([1, 4, 5]);
    expect(failuresOf(new FailurePlan({ every: 3 }), 10)).toEqual([3, 6, 9]);
    expect(failuresOf(new FailurePlan({ nth: [2], every: 4 }), 10)).toEqual([2, 4, 8]);
  });

  it('never fails without a schedule, and always at a rate of 1', () => {
    expect(failuresOf(new FailurePlan(), 1000)).toEqual([]);
    expect(failuresOf(new FailurePlan({ rate: 1 }), 3)).toEqual([1, 2, 3]);
  });

  it('fails at about its rate, the same way for the same seed', () => {
    const once = failuresOf(new FailurePlan({ rate: 0.01, seed: 7 }), 100_000);
    expect(once.length).toBeGreaterThan(800);
    expect(once.length).toBeLessThan(1200);
    expect(failuresOf(new FailurePlan({ rate: 0.01, seed: 7 }), 100_000)).toEqual(once);
    expect(failuresOf(new FailurePlan({ rate: 0.01, seed: 8 }), 100_000)).not.toEqual(once);
  });

  it('counts', () => {
    const plan = new FailurePlan({ every: 2 });
    failuresOf(plan, 7);
    expect([plan.count, plan.failed]).toEqual([7, 3]);
  });

  it('does not fail at once because its seed is small', () => {
    const seeds = Array.from({ length: 1000 }, (_, i) => i + 1);
    const atOnce = seeds.filter((seed) => new FailurePlan({ rate: 0.01, seed }).next());
    expect(atOnce.length).toBeLessThan(30);
  });

  it.each([{ nth: [0] }, { nth: [1.5] }, { every: -1 }, { rate: -0.1 }, { rate: 1.1 }, { rate: Number.NaN }])(
    'refuses %j',
    (schedule) => {
      expect(() => new FailurePlan(schedule)).toThrow(RangeError);
    },
  );
});
