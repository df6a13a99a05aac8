/**
 * `npm run soak [-- name...]`: the profiles of `profiles/soak` one after the other, while the heap is watched. Takes
 * minutes, so no test runs it. Ends with 1 when a run is not as its profile expects, leaves something mapped, or keeps
 * memory.
 */
import 'reflect-metadata';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadProfiles, type Profile } from '@virtio-platform/profile';
import { isAsExpected, runProfile } from '@virtio-platform/runner';

const FOLDER = join(import.meta.dirname, '../..', 'profiles', 'soak');
/**
 * What a run may have more at its end than after its first quarter, in bytes: the compiler still works then, a leak is
 * megabytes.
 */
const ALLOWED_GROWTH = 256 * 1024;
const SAMPLES = 16;

/** Runs a profile and returns how much the collected heap grew after the first quarter of its requests, in bytes. */
async function soak(
  profile: Profile,
  collect: () => void,
): Promise<{ isRight: boolean; growth: number; text: string }> {
  const heap: number[] = [];
  let next = 0;
  const report = await runProfile(profile, {
    onProgress: (done, total) => {
      if (done < next) return;
      next = done + total / SAMPLES;
      collect();
      heap.push(process.memoryUsage().heapUsed);
    },
  });
  const settled = heap.slice(Math.ceil(heap.length / 4));
  const growth = settled.length < 2 ? NaN : settled.at(-1)! - settled[0]!;
  const { workload, dma, injected, durationMs } = report;
  const isRight =
    isAsExpected(report) && workload.verified && dma.live === 0 && dma.maps === dma.unmaps && injected > 0;
  const text = `${workload.requests} requests, ${injected} failures, ${dma.live} left mapped, heap ${kib(growth)}, ${durationMs} ms`;
  return { isRight, growth, text };
}

function kib(bytes: number): string {
  return `${bytes < 0 ? '' : '+'}${Math.round(bytes / 1024)} KiB`;
}

if (globalThis.gc === undefined) throw new Error('start node with --expose-gc, as `npm run soak` does');
const collect = globalThis.gc;
const chosen = process.argv.slice(2).map((name) => `${name}.yaml`);
for (const name of chosen.length > 0 ? chosen : readdirSync(FOLDER)) {
  for (const profile of await loadProfiles(join(FOLDER, name))) {
    const { isRight, growth, text } = await soak(profile, collect);
    const isFlat = growth <= ALLOWED_GROWTH;
    console.log(`${isRight && isFlat ? 'ok    ' : 'FAILED'} ${profile.name}: ${text}`);
    if (!isRight || !isFlat) process.exitCode = 1;
  }
}
