import type { RunReport } from '@virtio-platform/runner';
import { formatBytes } from './run-line.ts';

/** What is missing of the log of the machine's own program, in a sentence; `undefined` where nothing is. */
export function describeLogCut({ logCut }: Pick<RunReport, 'logCut'>): string | undefined {
  if (logCut === null) return undefined;
  const { program, before, bytes } = logCut;
  const time = `${(before / 1e6).toFixed(3)} s`;
  return `the log of ${program} was too long: its first ${formatBytes(bytes)}, up to ${time} of the run, are missing`;
}
