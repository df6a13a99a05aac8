import { resolve } from 'node:path';
import {
  BackEndProgram,
  clausesOf,
  conformReport,
  DeviceTrial,
  filterTrial,
  identifyBackEnd,
  isFailure,
  knownDeviations,
  plannedCases,
  PROTOCOL_CLAUSES,
  speaksVhostUser,
  targetProfile,
  type CaseResult,
  type ConformTarget,
  type TrialPlan,
} from '@virtio-platform/conform';
import type { Clause } from '@virtio-platform/core';
import { CodedError } from '@virtio-platform/core';
import { sweepTemporaryFolders } from '@virtio-platform/host';
import { TOOL_VERSION } from '@virtio-platform/runner';
import { checkPlugins, type Profile, type ResolutionOptions } from '@virtio-platform/profile';
import { ConformFiles } from '../conform/conform-files.ts';
import { ConformPrinter } from '../conform/conform-printer.ts';
import { ExitStatus } from '../exit-status.ts';
import { pluginBases } from '../plugin-bases.ts';
import { printableData, type Terminal } from '../terminal.ts';

/** The options of `conform`. */
export interface ConformCommandOptions {
  readonly json: boolean;
  readonly list: boolean;
  readonly filter: string | undefined;
  /** Files for JUnit XML and for a page, where they are wanted. */
  readonly junit?: string | undefined;
  readonly html?: string | undefined;
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
  { json, list, filter, junit, html, patienceMs, plugins }: ConformCommandOptions,
): Promise<ExitStatus> {
  sweepTemporaryFolders();
  const { profile, runs } = await targetProfile(located(terminal, target), {
    ...plugins,
    baseDirectory: terminal.cwd,
    bases: pluginBases(terminal.cwd),
  });
  const plan = chooseCases(profile, filter);
  if (list) {
    printList(terminal, plan, json);
    return ExitStatus.AsExpected;
  }
  if (runs > 1) terminal.printError(`the profile makes ${runs} runs; this is the device of the first, ${profile.name}`);
  // Before anything is started: also what the plugins, and the user's own options, refuse.
  await checkPlugins(profile, plugins);
  const identity = await identifyBackEnd(profile);
  const known = knownDeviations(identity?.program ?? '', identity?.version ?? '');
  const startedAt = new Date();
  const files = new ConformFiles(terminal.cwd, { junit, html });
  const program = BackEndProgram.of(profile);
  const printer = json ? undefined : new ConformPrinter(terminal, repeat);
  const onResult = (result: CaseResult): void => printer?.printCase(printableData(result));
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
    onResult,
  });
  try {
    const device = await trial.boot();
    printer?.printDevice(printableData(device), plannedCases(plan).length);
    const results = await trial.run();
    const report = conformReport(device, clausesFor(profile), results);
    if (json) terminal.printJson(report);
    else printer?.printSummary(printableData(report));
    files.write(report, { startedAt, command: repeat, toolVersion: TOOL_VERSION });
    return results.some(isFailure) ? ExitStatus.Differed : ExitStatus.AsExpected;
  } finally {
    files.close();
    await trial.end();
    await program?.dispose();
  }
}

/** What the specification requires of the device, and the protocol of its back-end. */
function clausesFor(profile: Profile): readonly Clause[] {
  const own = clausesOf(profile.device.type);
  return speaksVhostUser(profile) ? [...own, ...PROTOCOL_CLAUSES] : own;
}

/** Paths that the user wrote start at the folder of the user. */
function located(terminal: Terminal, target: ConformTarget): ConformTarget {
  if (target.kind !== 'profile' && target.kind !== 'socket') return target;
  return { ...target, path: resolve(terminal.cwd, target.path) };
}

function chooseCases(profile: Profile, filter: string | undefined): TrialPlan {
  const plan = filterTrial(profile, filter);
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
  terminal.print(terminal.colors.dim(`${rows.length} cases`));
}
