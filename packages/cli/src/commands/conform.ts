import { resolve } from 'node:path';
import {
  BackEndProgram,
  casesOf,
  conformReport,
  ConformRun,
  describeDevice,
  identifyBackEnd,
  isFailure,
  knownDeviations,
  matchesFilter,
  planCases,
  targetProfile,
  type CaseResult,
  type ConformTarget,
  type PlannedCase,
} from '@virtio-platform/conform';
import { CodedError } from '@virtio-platform/core';
import { sweepTemporaryFolders } from '@virtio-platform/host';
import { checkPlugins, type Profile, type ResolutionOptions } from '@virtio-platform/profile';
import { ConformPrinter } from '../conform-printer.ts';
import { ExitStatus } from '../exit-status.ts';
import { pluginBases } from '../plugin-bases.ts';
import { printableData, type Terminal } from '../terminal.ts';

/** The options of `conform`. */
export interface ConformCommandOptions {
  readonly json: boolean;
  readonly list: boolean;
  readonly filter: string | undefined;
  /** Milliseconds that a device may take over a request. */
  readonly patienceMs: number;
  readonly plugins: ResolutionOptions;
}

/** How long a device that has nothing to do is watched. */
const SETTLE_MS = 5;

/** `conform`: tries every case that applies to a device, and prints a verdict on each. */
export async function conformCommand(
  terminal: Terminal,
  target: ConformTarget,
  repeat: string,
  { json, list, filter, patienceMs, plugins }: ConformCommandOptions,
): Promise<ExitStatus> {
  sweepTemporaryFolders();
  const { profile, runs } = await targetProfile(located(terminal, target), {
    ...plugins,
    baseDirectory: terminal.cwd,
    bases: pluginBases(terminal.cwd),
  });
  const cases = chooseCases(profile, filter);
  if (list) {
    printList(terminal, cases, json);
    return ExitStatus.AsExpected;
  }
  if (runs > 1) terminal.printError(`the profile makes ${runs} runs; this is the device of the first, ${profile.name}`);
  // Before anything is started: also what the plugins, and the user's own options, refuse.
  await checkPlugins(profile, plugins);
  const identity = await identifyBackEnd(profile);
  const known = knownDeviations(identity?.program ?? '', identity?.version ?? '', profile.device.type.name);
  const program = BackEndProgram.of(profile);
  const printer = json ? undefined : new ConformPrinter(terminal, repeat);
  const onResult = (result: CaseResult): void => printer?.printCase(printableData(result));
  const run = new ConformRun({
    profile: program?.profile ?? profile,
    program,
    composition: plugins,
    cases,
    known,
    patienceMs,
    settleMs: SETTLE_MS,
    onResult,
  });
  try {
    const subject = await run.boot();
    const backEnd = [identity?.program, identity?.version].filter(Boolean).join(' ');
    const device = describeDevice(subject, backEnd === '' ? undefined : backEnd);
    printer?.printDevice(printableData(device), cases.length);
    const results = await run.run();
    const report = conformReport(device, subject.type, results);
    if (json) terminal.printJson(report);
    else printer?.printSummary(printableData(report));
    return results.some(isFailure) ? ExitStatus.Differed : ExitStatus.AsExpected;
  } finally {
    await run.end();
    await program?.dispose();
  }
}

/** Paths that the user wrote start at the folder of the user. */
function located(terminal: Terminal, target: ConformTarget): ConformTarget {
  if (target.kind !== 'profile' && target.kind !== 'socket') return target;
  return { ...target, path: resolve(terminal.cwd, target.path) };
}

function chooseCases(profile: Profile, filter: string | undefined): readonly PlannedCase[] {
  const all = planCases(casesOf(profile.device.type));
  if (filter === undefined) return all;
  const chosen = all.filter(({ id }) => matchesFilter(id, filter));
  if (chosen.length > 0) return chosen;
  throw new CodedError('ERR_CONFORM_CASE', `no case matches ${filter}`, {
    hint: 'a filter is a part of an id, or all of it with * for what may differ: ring/*/packed; --list shows them',
  });
}

function printList(terminal: Terminal, cases: readonly PlannedCase[], json: boolean): void {
  const rows = cases.map(({ id, conformCase: { clause, level, title } }) => ({ id, clause, level, title }));
  if (json) return terminal.printJson(rows);
  for (const { id, clause, level, title } of rows) {
    terminal.print(`${id}  ${terminal.colors.dim(`${level} ${clause}`)}`);
    terminal.printSentence(2, title);
  }
  terminal.print(terminal.colors.dim(`${rows.length} cases`));
}
