import type { ConformBench } from './conform-bench.ts';

/** Gives the device time, and fails the case where it returned a buffer: `seen` says what it did then. */
export async function returnsNothing(
  bench: Pick<ConformBench, 'settle' | 'check'>,
  ring: { take(): unknown },
  seen: string,
): Promise<void> {
  await bench.settle();
  bench.check(ring.take() === undefined, seen);
}
