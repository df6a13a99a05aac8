import { displayPath } from '@virtio-platform/profile';
import { findingRequest, type RunReport } from '@virtio-platform/runner';
import type { Terminal } from '../../terminal.ts';
import { bufferOfFinding } from '../where-of-finding.ts';

/** Findings, and frames of each stack, that people are shown; `--json` has more. */
const MOST_FINDINGS = 5;
const MOST_FRAMES = 3;

type Finding = RunReport['findings'][number];

/**
 * Prints what the DMA sanitizer found in a run: what, which buffer, where it was mapped and misused, and what to do.
 */
export function printFindings(terminal: Terminal, { findings, sanitizer, explanations }: RunReport): void {
  const explained = explanations.find(({ kind }) => kind === 'finding');
  const explainedAt = findings.findIndex(({ what }) => what === explained?.what);
  for (const [at, finding] of findings.slice(0, MOST_FINDINGS).entries())
    printFinding(terminal, finding, at === explainedAt);
  const more = (sanitizer?.findings ?? 0) - MOST_FINDINGS;
  if (more > 0) terminal.print(terminal.colors.dim(`  and ${more} more findings; --json has the first 256`));
}

/** Of a finding that is explained already only what the explanation does not have. */
function printFinding(terminal: Terminal, finding: Finding, isExplained: boolean): void {
  const { red, dim, bold } = terminal.colors;
  const what = isExplained ? '' : `${finding.what} `;
  terminal.printHanging('  ', `${red('finding')} ${bold(finding.code)} ${what}${dim(`[${finding.check}]`)}`);
  const sentence = (title: string, text: string): void => terminal.printHanging(`    ${title.padEnd(8)} `, text);
  const request = isExplained ? [] : findingRequest(finding);
  if (request.length > 0) sentence('request', request.join(', '));
  const buffer = bufferOfFinding(finding);
  if (!isExplained && buffer !== '') sentence('buffer', buffer);
  const stacks = [
    ['mapped', finding.mappedAt],
    ['added', finding.addedAt],
    ['synced', finding.syncedAt],
    ['unmapped', finding.unmappedAt],
    ['misused', finding.misusedAt],
  ] as const;
  for (const [at, [title, frames]] of stacks.entries()) {
    const same = stacks.slice(0, at).find(([, others]) => frames.length > 0 && others.join() === frames.join());
    if (same !== undefined) sentence(title, `by the same call as ${same[0]}`);
    else
      for (const [i, frame] of frames.slice(0, MOST_FRAMES).entries())
        sentence(i === 0 ? title : '', local(terminal, frame));
  }
  if (!isExplained) sentence('do', finding.hint);
}

/** A frame with the path as the user would write it. */
function local(terminal: Terminal, frame: string): string {
  return frame.replace(/(?<=\(|^)\/[^()]*(?=:\d+:\d+\)?$)/, (path) => {
    return displayPath(path, terminal.cwd);
  });
}
