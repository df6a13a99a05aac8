import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchParts, measureParts, QUICK_SETTINGS, StorageDaemon, USUAL_SETTINGS } from '@virtio-platform/bench';
import type { BenchPart, BenchReport, BenchSettings } from '@virtio-platform/bench';
import { CodedError } from '@virtio-platform/core';
import { checkPeers, withPeers } from '../bench/add-peers.ts';
import { readBenchReport, readPeers, type BenchPeer } from '../bench/bench-files.ts';
import { benchPage } from '../bench/bench-page.ts';
import type { BenchWords } from '../bench/bench-words.ts';
import { compareBenches } from '../bench/compare-benches.ts';
import { printChanges, printMachine, printPart } from '../bench/print-bench.ts';
import { ExitStatus } from '../exit-status.ts';
import type { Interruption } from '../interruption.ts';
import { ReportFile } from '../reporters/report-file.ts';
import { commandLine } from '../run/again-command.ts';
import { Progress } from '../run/progress.ts';
import { filterOf } from '../run/run-arguments.ts';
import { printableData, type Terminal } from '../terminal.ts';

/** What the command is given beside its options. */
export interface BenchContext {
  /** The words of the command line. */
  readonly words: readonly string[];
  readonly version: string;
  readonly interruption: Interruption;
}

/**
 * `bench [part...]`: measures cases and prints a table for each part as soon as it is there. Everything that is read is
 * read before anything is measured.
 */
export async function benchCommand(
  terminal: Terminal,
  names: readonly string[],
  words: BenchWords,
  { words: command, version, interruption }: BenchContext,
): Promise<ExitStatus> {
  const { json = false, compare, exitCode = false, html } = words;
  const all = benchParts(fileURLToPath(new URL('../../dist/main.js', import.meta.url)));
  const chosen = chosenParts(all, names, words);
  if (words.list === true) return listCases(terminal, chosen, json);
  const parts = names.length > 0 ? chosen : measurableParts(terminal, chosen);
  const before = compare === undefined ? undefined : readBenchReport(terminal.cwd, compare);
  const peers = words.peers === undefined ? [] : readPeers(terminal.cwd, words.peers);
  checkPeers(peers, all);
  const page = html === undefined ? undefined : new ReportFile(resolve(terminal.cwd, html), '--html');
  const settings = settingsOf(words);
  const report = await measured(terminal, parts, { settings, peers, version, interruption, json });
  if (report === undefined) return ExitStatus.Differed;
  const comparison = before && compareBenches(before, report);
  const shell = { command: commandLine(['virtio-platform', ...command]), toolVersion: version };
  page?.write(benchPage(printableData(report), parts, peers, comparison, shell));
  const [error] = page?.close() ?? [];
  if (json) terminal.printJson(comparison === undefined ? report : { ...report, comparison });
  else if (comparison !== undefined) printChanges(terminal, comparison, compare!);
  if (error !== undefined) throw error;
  const isSlower = comparison?.changes.some(({ verdict }) => verdict === 'slower') ?? false;
  return exitCode && isSlower ? ExitStatus.Differed : ExitStatus.AsExpected;
}

interface MeasuredWith {
  readonly settings: BenchSettings;
  readonly peers: readonly BenchPeer[];
  readonly version: string;
  readonly interruption: Interruption;
  readonly json: boolean;
}

/** Measures the parts, with the figures of peers; `undefined` where a signal ended it. */
async function measured(
  terminal: Terminal,
  parts: readonly BenchPart[],
  { settings, peers, version, interruption, json }: MeasuredWith,
): Promise<BenchReport | undefined> {
  const progress = new Progress(terminal, 'errors');
  interruption.await();
  try {
    const report = await measureParts(parts, {
      settings,
      toolVersion: version,
      signal: interruption.signal,
      listener: {
        begin: (machine) => json || printMachine(terminal, machine, settings),
        beginCase: (id, number, total) => progress.begin(`case ${number} of ${total}, ${id}`),
        endPart: (part, results) =>
          json ||
          printPart(
            terminal,
            part,
            results.map((result) => withPeers(result, peers)),
          ),
      },
    });
    return { ...report, results: report.results.map((result) => withPeers(result, peers)) };
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    terminal.printError(`${interruption.name}: what was not measured is left out`);
    return undefined;
  } finally {
    progress.end();
  }
}

/** The parts with the cases that are asked for. Throws {@link CodedError} `ERR_BENCH_CASE` where there is none. */
function chosenParts(all: readonly BenchPart[], names: readonly string[], words: BenchWords): readonly BenchPart[] {
  const isWanted = filterOf(words);
  const parts = all
    .filter(({ name }) => names.length === 0 || names.includes(name))
    .map((part) => ({ ...part, cases: part.cases.filter(({ id }) => isWanted(id)) }))
    .filter(({ cases }) => cases.length > 0);
  if (parts.length > 0) return parts;
  const filter = words.filter?.join(', ') ?? '';
  const hint = 'virtio-platform bench --list prints the ids of all cases';
  throw new CodedError('ERR_BENCH_CASE', `no case has ${filter} in its id`, { hint });
}

/** The parts without the one whose back-end is not installed: only where it is asked for by name that is an error. */
function measurableParts(terminal: Terminal, parts: readonly BenchPart[]): readonly BenchPart[] {
  const fix = StorageDaemon.missing;
  const rest = parts.filter(({ name }) => fix === undefined || name !== 'back-end');
  if (rest.length < parts.length) terminal.printError(`back-end is left out: ${fix}`);
  return rest;
}

function listCases(terminal: Terminal, parts: readonly BenchPart[], json: boolean): ExitStatus {
  const cases = parts.flatMap(({ unit, cases: each }) =>
    each.map(({ id, part, axes, subjects }) => ({ id, part, unit, axes, subjects: subjects.map(({ name }) => name) })),
  );
  if (json) terminal.printJson(cases);
  else for (const { id } of cases) terminal.print(id);
  return ExitStatus.AsExpected;
}

function settingsOf({ quick, inliningBudget, ...given }: BenchWords): BenchSettings {
  const usual = quick === true ? QUICK_SETTINGS : USUAL_SETTINGS;
  return {
    processes: given.processes ?? usual.processes,
    requests: given.requests ?? usual.requests,
    samples: given.samples ?? usual.samples,
    seconds: given.seconds ?? usual.seconds,
    raisesBudget: inliningBudget,
  };
}
