import {
  C_CHECKED,
  C_UNCHECKED,
  OURS,
  type BenchPart,
  type BenchReport,
  type BenchResult,
  type BenchSettings,
} from '@virtio-platform/bench';
import { plainTable } from '../plain-table.ts';
import { printableData, type Terminal } from '../terminal.ts';
import type { BenchComparison } from './compare-benches.ts';

/** Columns of a line where the terminal tells nothing. */
const COLUMNS = 80;

/** Where and how much is measured. */
export function printMachine(terminal: Terminal, machine: BenchReport['machine'], settings: BenchSettings): void {
  const { processor, cores, node, compiler, isPinned, load } = printableData(machine);
  const { processes, requests, samples, raisesBudget } = settings;
  printWrapped(terminal, `${processor}, ${cores} cores, Node ${node}, ${compiler ?? 'no C compiler'}.`);
  const amount = `${processes} processes of each case, ${samples} samples of ${requests} requests`;
  printWrapped(terminal, `${amount}${raisesBudget ? '' : ', with the inlining that V8 has by default'}.`);
  if (!isPinned) printWrapped(terminal, 'No process is pinned to a core: taskset is not installed here.');
  if (compiler === null)
    printWrapped(terminal, 'Nothing is compared with C: install a compiler (apt-get install gcc libc6-dev).');
  if (load > cores / 2)
    terminal.printSentence(
      0,
      `Something else is at work (load ${load.toFixed(1)}): the best figures suffer little, others do.`,
    );
}

/** The results of a part: a line for each case, with a ratio for each other subject. */
export function printPart(terminal: Terminal, part: BenchPart, found: readonly BenchResult[]): void {
  const results = printableData(found);
  const subjects = subjectsOf(results);
  const hasBaseline = results.some(({ times }) => times !== null);
  const hasBytes = results.some(({ figures }) => figures[0]!.bytesPerRequest !== null);
  const isTimed = results.some(({ pauses }) => pauses !== null);
  const head = [
    'case',
    part.unit.startsWith('ns') ? 'ns' : part.unit,
    'noise',
    ...(hasBytes ? ['bytes'] : []),
    ...(isTimed ? ['p99', 'p99.9', 'max', '>1 ms'] : []),
    ...subjects.map(columnOf),
    ...(hasBaseline ? ['base'] : []),
  ];
  const table = plainTable(head, {
    colAligns: head.map((_, at) => (at === 0 ? 'left' : 'right')),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 1 },
  });
  for (const result of results) {
    const own = result.figures[0]!;
    const ratios = subjects.map((subject) => result.figures.find((figure) => figure.subject === subject)?.ratio);
    const timed = own.percentiles === null ? [] : [own.percentiles.p99, own.percentiles.p999, own.percentiles.max];
    table.push([
      result.id.slice(part.name.length + 1),
      formatTime(own.best),
      `${(own.spread * 100).toFixed(0)} %`,
      ...(hasBytes ? [own.bytesPerRequest?.toFixed(1) ?? '-'] : []),
      ...(isTimed ? [...timed.map(formatTime), `${result.pauses?.aboveMillisecond ?? '-'}`] : []),
      ...ratios.map(formatRatio),
      ...(hasBaseline ? [formatRatio(result.times ?? undefined)] : []),
    ]);
  }
  terminal.printGap();
  terminal.print(terminal.colors.bold(part.name));
  printWrapped(terminal, part.title);
  for (const line of legendOf(subjects, hasBaseline ? part.base : undefined)) printWrapped(terminal, line);
  for (const line of table.toString().split('\n')) terminal.print(line.trimEnd());
}

/** The names of what is compared with, in the order in which they come. */
export function subjectsOf(results: readonly BenchResult[]): readonly string[] {
  const names = results.flatMap(({ figures }) => figures.map(({ subject }) => subject));
  return [...new Set(names)].filter((name) => name !== OURS);
}

function columnOf(subject: string, at: number): string {
  if (subject === C_CHECKED) return 'C';
  return subject === C_UNCHECKED ? 'bare C' : `[${at + 1}]`;
}

function legendOf(subjects: readonly string[], baseline: string | undefined): readonly string[] {
  const named = subjects.map((subject, at) => {
    if (subject === C_CHECKED) return 'C: times a ring in C with every check';
    if (subject === C_UNCHECKED) return 'bare C: times one that checks nothing';
    return `[${at + 1}]: times ${subject}`;
  });
  const base = baseline === undefined ? [] : [`base: times ${baseline}`];
  const parts = [...named, ...base];
  return parts.length === 0 ? [] : [`${parts.join('; ')}.`];
}

/** A sentence in lines of at most the columns of the terminal, or 80. */
function printWrapped(terminal: Terminal, text: string): void {
  const most = Math.min(terminal.columns, COLUMNS) - 1;
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > most) {
      terminal.print(terminal.colors.dim(line));
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  terminal.print(terminal.colors.dim(line));
}

/** What changed since another report: what is outside of the noise, and how many cases are within it. */
export function printChanges(terminal: Terminal, comparison: BenchComparison, name: string): void {
  const { changes, added } = printableData(comparison);
  const outside = changes.filter(({ verdict }) => verdict !== 'same');
  terminal.printGap();
  terminal.print(terminal.colors.bold(`since ${name}`));
  if (outside.length > 0) {
    const table = plainTable(['case', 'before', 'now', 'times', 'to C', 'noise', ''], {
      colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'left'],
      style: { head: [], border: [], 'padding-left': 0, 'padding-right': 1 },
    });
    for (const { id, before, now, change, changeAgainstC, noise, verdict } of outside) {
      const { red, green } = terminal.colors;
      table.push([
        id,
        formatTime(before),
        formatTime(now),
        formatRatio(change),
        formatRatio(changeAgainstC ?? undefined),
        `${(noise * 100).toFixed(0)} %`,
        verdict === 'slower' ? red(verdict) : green(verdict),
      ]);
    }
    for (const line of table.toString().split('\n')) terminal.print(line.trimEnd());
  }
  const within = changes.length - outside.length;
  terminal.print(`${within} of ${changes.length} cases are as they were, within the noise.`);
  if (added.length > 0) terminal.print(`${added.length} cases are new.`);
}

/** A time with as many digits as count. */
export function formatTime(value: number): string {
  return value >= 1e5 ? Math.round(value).toLocaleString('en-US') : value.toFixed(value < 100 ? 1 : 0);
}

/** A ratio, or a dash where there is nothing to compare with. */
export function formatRatio(ratio: number | undefined): string {
  return ratio === undefined ? '-' : ratio.toFixed(2);
}
