import { resolve } from 'node:path';
import {
  BackEndProgram,
  clausesOf,
  conformReport,
  coverageOf,
  DeviceTrial,
  filterTrial,
  generateLegal,
  identifyBackEnd,
  isFailure,
  isPciFunction,
  knownDeviations,
  PCI_CLAUSES,
  plannedCases,
  planReplay,
  planTrial,
  PROTOCOL_CLAUSES,
  readOperations,
  speaksVhostUser,
  targetProfile,
  USUAL_OPERATIONS,
  USUAL_SEED,
  type CaseResult,
  type ConformReport,
  type ConformTarget,
  type RandomOptions,
  type TrialPlan,
} from '@virtio-platform/conform';
import type { Clause } from '@virtio-platform/core';
import { CodedError } from '@virtio-platform/core';
import { sweepTemporaryFolders } from '@virtio-platform/host';
import { TOOL_VERSION } from '@virtio-platform/runner';
import { checkPlugins, type Profile, type ResolutionOptions } from '@virtio-platform/profile';
import { ConformFiles } from '../conform/conform-files.ts';
import { fuzzCommand, saveRandom } from '../conform/conform-fuzz.ts';
import { FuzzFiles } from '../conform/fuzz-files.ts';
import { mergedCases, runShards, shardError, tellParent } from '../conform/conform-shards.ts';
import { casesText, ConformPrinter } from '../conform/conform-printer.ts';
import { ExitStatus } from '../exit-status.ts';
import { pluginBases } from '../plugin-bases.ts';
import { oneProfilePath } from '../run/profile-sources.ts';
import { partOf, type Shard } from '../shard.ts';
import { printableData, type Terminal } from '../terminal.ts';

/** The options of `conform`. */
export interface ConformCommandOptions {
  readonly json: boolean;
  readonly list: boolean;
  readonly filter: string | undefined;
  /** How long the run of random operations is, and from what it follows. */
  readonly seed?: number | undefined;
  readonly operations?: number | undefined;
  /** A file of operations to take instead of cases. */
  readonly replay?: string | undefined;
  /** A folder for the operations of failures. */
  readonly save?: string | undefined;
  /** Runs of fuzzing instead of cases, and a folder of samples. */
  readonly fuzz?: number | undefined;
  readonly corpus?: string | undefined;
  /** Processes that share the cases; and the part of this one, where it is such a process. */
  readonly jobs?: number | undefined;
  readonly shard?: Shard | undefined;
  /** The words behind `conform` that each of the processes is given. */
  readonly words?: readonly string[] | undefined;
  /** Files for JUnit XML and for a page, where they are wanted. */
  readonly junit?: string | undefined;
  readonly html?: string | undefined;
  /** Milliseconds that a device may take over a request. */
  readonly patienceMs: number;
  readonly plugins: ResolutionOptions;
}

/** How long a device that has nothing to do is watched. */
const SETTLE_MS = 5;
/** After most runs of a fuzzer a ring is broken, and no buffer comes back. */
const FUZZ_UNCONFIRMED_MS = 20;

/** `conform`: tries every case that applies to a device, and prints a verdict on each. */
export async function conformCommand(
  terminal: Terminal,
  target: ConformTarget,
  repeat: string,
  options: ConformCommandOptions,
): Promise<ExitStatus> {
  const { json, list, filter, junit, html, patienceMs, plugins, jobs = 1, shard, words = [] } = options;
  const { seed = USUAL_SEED, operations, replay, save, fuzz, corpus } = options;
  sweepTemporaryFolders();
  const { profile, runs } = await targetProfile(located(terminal, target), {
    ...plugins,
    baseDirectory: terminal.cwd,
    bases: pluginBases(terminal.cwd),
  });
  const plan =
    replay === undefined
      ? partOfPlan(profile, chooseCases(profile, filter, { seed, operations }), { seed, operations }, shard)
      : planReplay(profile, readOperations(resolve(terminal.cwd, replay)));
  if (list) {
    printList(terminal, plan, json);
    return ExitStatus.AsExpected;
  }
  if (runs > 1) terminal.printError(`the profile makes ${runs} runs; this is the device of the first, ${profile.name}`);
  // Before anything is started: also what the plugins, and the user's own options, refuse.
  await checkPlugins(profile, plugins);
  const identity = await identifyBackEnd(profile);
  const known = knownDeviations(identity?.program ?? '', identity?.version ?? '', profile.device.type.name);
  const startedAt = new Date();
  const samples = new FuzzFiles(terminal.cwd, profile, { save, corpus: fuzz === undefined ? undefined : corpus });
  const files = new ConformFiles(terminal.cwd, { junit, html });
  const show = (report: ConformReport, printer: ConformPrinter | undefined): ExitStatus => {
    if (json) terminal.printJson(report);
    else printer?.printSummary(printableData(report));
    files.write(report, { startedAt, command: repeat, toolVersion: TOOL_VERSION });
    return report.cases.some(isFailure) ? ExitStatus.Differed : ExitStatus.AsExpected;
  };
  const alone = jobs > 1 ? whyAlone(target, fuzz !== undefined || replay !== undefined) : undefined;
  if (alone !== undefined) terminal.printError(`-j ${jobs} is -j 1 here: ${alone}`);
  if (jobs > 1 && alone === undefined) {
    const printer = json ? undefined : new ConformPrinter(terminal, repeat, filter === undefined);
    const shown = (result: CaseResult): void => printer?.printCase(printableData(result));
    const { reports, failure, notes } = await runShards(words, jobs, terminal.cwd, shown);
    const device = reports[0]?.device;
    if (failure !== undefined || device === undefined) {
      files.close();
      const { printed = '', status = ExitStatus.Differed } = failure ?? {};
      const error = shardError(printed);
      if (error !== undefined) throw error;
      if (printed !== '') terminal.printError(printed.trimEnd());
      return status;
    }
    if (notes !== '') terminal.printError(notes.trimEnd());
    const cases = mergedCases(
      reports,
      plannedCases(plan).map(({ id }) => id),
    );
    printer?.printDevice(printableData(device), casesText(cases.length));
    const report = { device, cases, coverage: coverageOf(clausesFor(profile), cases) };
    const status = show(report, printer);
    noteOnShared(terminal, target, profile, report);
    return status;
  }
  const program = BackEndProgram.of(profile);
  const printer = json ? undefined : new ConformPrinter(terminal, repeat, filter === undefined && replay === undefined);
  const tell = shard === undefined ? undefined : tellParent();
  const onResult = (result: CaseResult): void => {
    printer?.printCase(printableData(result));
    tell?.(result);
  };
  const backEnd = [identity?.program, identity?.version].filter(Boolean).join(' ');
  const trial = new DeviceTrial({
    profile: program?.profile ?? profile,
    program,
    composition: plugins,
    plan,
    backEnd: backEnd === '' ? undefined : backEnd,
    known,
    patienceMs,
    settleMs: SETTLE_MS,
    unconfirmedMs: fuzz === undefined ? undefined : FUZZ_UNCONFIRMED_MS,
    onResult,
  });
  try {
    const device = await trial.boot();
    const amount = fuzz === undefined ? casesText(plannedCases(plan).length) : `${fuzz} runs`;
    printer?.printDevice(printableData(device), amount);
    if (fuzz !== undefined) return await fuzzCommand(terminal, trial, samples, { device, runs: fuzz, seed, json });
    const results = await trial.run();
    if (save !== undefined) {
      for (const each of results.filter((result) => isFailure(result) && result.id.startsWith('random/operations')))
        await saveRandom(terminal, trial, samples, each, generateLegal(seed, operations ?? USUAL_OPERATIONS));
    }
    return show(conformReport(device, clausesFor(profile), results), printer);
  } finally {
    files.close();
    await trial.end();
    await program?.dispose();
  }
}

/** Why there can be one process only; `undefined` where each of several can have a device of its own. */
function whyAlone({ kind }: ConformTarget, isOneRun: boolean): string | undefined {
  if (kind === 'socket') return 'the processes would share one back-end and its data; give its command behind --';
  if (kind === 'pci') return 'there is one such function';
  return isOneRun ? '--fuzz and --replay are one run after the other' : undefined;
}

/** What the failures of several processes may come from. */
function noteOnShared(terminal: Terminal, target: ConformTarget, { device }: Profile, report: ConformReport): void {
  const hasDisk = device.type.image !== undefined && target.kind === 'command';
  if (!hasDisk || target.command.some((word) => word.includes('{image}')) || !report.cases.some(isFailure)) return;
  terminal.printError(
    'the processes of -j share what the command names, such as a disk: others may have written to it',
  );
  terminal.printError('{image} in the command is the path of an image that each of them has for itself');
}

/** The part of a plan that a shard has. */
function partOfPlan(profile: Profile, plan: TrialPlan, random: RandomOptions, shard: Shard | undefined): TrialPlan {
  if (shard === undefined) return plan;
  const ids = new Set(
    partOf(
      plannedCases(plan).map(({ id }) => id),
      shard,
    ),
  );
  return planTrial(profile, (id) => ids.has(id), random);
}

/** What the specification requires of the device, its bus, and the protocol of its back-end. */
function clausesFor(profile: Profile): readonly Clause[] {
  return [
    ...clausesOf(profile.device.type),
    ...(isPciFunction(profile) ? PCI_CLAUSES : []),
    ...(speaksVhostUser(profile) ? PROTOCOL_CLAUSES : []),
  ];
}

/** Paths that the user wrote start at the folder of the user; a profile may be a shipped one, by its name. */
function located(terminal: Terminal, target: ConformTarget): ConformTarget {
  if (target.kind === 'profile') return { ...target, path: oneProfilePath(target.path, terminal.cwd) };
  return target.kind === 'socket' ? { ...target, path: resolve(terminal.cwd, target.path) } : target;
}

function chooseCases(profile: Profile, filter: string | undefined, random: RandomOptions): TrialPlan {
  const plan = filterTrial(profile, filter, random);
  if (plannedCases(plan).length > 0) return plan;
  throw new CodedError('ERR_CONFORM_CASE', `no case matches ${filter}`, {
    hint: 'a filter is a part of an id, or all of it with * for what may differ: ring/*/packed; --list shows them',
  });
}

function printList(terminal: Terminal, plan: TrialPlan, json: boolean): void {
  const rows = plannedCases(plan).map(({ id, conformCase: { clause, level, title } }) => ({
    id,
    clause,
    level,
    title,
  }));
  if (json) return terminal.printJson(rows);
  for (const { id, clause, level, title } of rows) {
    terminal.print(`${id}  ${terminal.colors.dim(`${level} ${clause}`)}`);
    terminal.printSentence(2, title);
  }
  terminal.print(terminal.colors.dim(casesText(rows.length)));
}
