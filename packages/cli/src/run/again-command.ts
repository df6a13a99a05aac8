import { printable } from '@virtio-platform/core';
import type { RunReport } from '@virtio-platform/runner';

/** What of a command line a run is made by, beside its profile. */
export interface AgainOptions {
  readonly set: readonly string[];
  readonly sanitize: boolean;
  /** A path as it is written in this folder. */
  readonly local: (path: string) => string;
}

/**
 * The command line that makes one run again, with the same requests. The report has the name of the run; `isOnly` is
 * whether its profile makes no other.
 */
export function againCommand(
  { file, profile, seed }: RunReport,
  isOnly: boolean,
  { set, sanitize, local }: AgainOptions,
): string {
  const name = profile.replace(/ #\d+$/, '');
  const words = [
    'virtio-platform',
    'run',
    file.endsWith('<stdin>') ? '-' : local(file),
    ...(isOnly ? [] : ['--filter', name]),
    '--seed',
    String(seed),
    ...set.flatMap((text) => ['--set', text]),
    ...(sanitize ? ['--sanitize'] : []),
  ];
  return commandLine(words);
}

/** A command line that a shell splits into these words. */
export function commandLine(words: readonly string[]): string {
  return words.map(quoted).join(' ');
}

/** A word as a shell takes it. */
function quoted(word: string): string {
  const shown = printable(word);
  return /^[\w./:@%+=,-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", String.raw`'\''`)}'`;
}
