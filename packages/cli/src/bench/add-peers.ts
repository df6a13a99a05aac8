import { spreadOf, type BenchPart, type BenchResult } from '@virtio-platform/bench';
import { CodedError } from '@virtio-platform/core';
import { closest } from '@virtio-platform/profile';
import type { BenchPeer } from './bench-files.ts';

/** Throws {@link CodedError} `ERR_BENCH_CASE` where a peer has a figure for an id that is not a case. */
export function checkPeers(peers: readonly BenchPeer[], parts: readonly BenchPart[]): void {
  const ids = parts.flatMap(({ cases }) => cases.map(({ id }) => id));
  for (const { name, figures } of peers) {
    const unknown = Object.keys(figures).find((id) => !ids.includes(id));
    if (unknown === undefined) continue;
    const near = closest(unknown, ids);
    const hint = near === undefined ? 'virtio-platform bench --list prints the ids' : `did you mean ${near}?`;
    throw new CodedError('ERR_BENCH_CASE', `${name} has a figure of ${unknown}, which is no case`, { hint });
  }
}

/** A result with the figures of peers behind its own. */
export function withPeers(result: BenchResult, peers: readonly BenchPeer[]): BenchResult {
  const own = result.figures[0]!.best;
  const others = peers.flatMap(({ name, figures }) => {
    const processes = figures[result.id];
    if (processes === undefined) return [];
    const best = Math.min(...processes);
    const spread = spreadOf(processes);
    return { subject: name, best, processes, spread, percentiles: null, bytesPerRequest: null, ratio: own / best };
  });
  return others.length === 0 ? result : { ...result, figures: [...result.figures, ...others] };
}
