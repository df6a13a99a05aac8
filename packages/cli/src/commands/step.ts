import { resolve } from 'node:path';
import { blamePlugin, type ResolutionOptions } from '@virtio-platform/profile';
import { showOnTerminal, stepJson, Stepper, stepText, Walk, type Recording } from '@virtio-platform/step';
import { checkRuns, type CheckedRun } from '../checked-runs.ts';
import { ExitStatus } from '../exit-status.ts';
import { isolate } from '../isolate.ts';
import { printError } from '../print-error.ts';
import { ProfileWords, type TextInput } from '../run/profile-sources.ts';
import { recordRun } from '../step/record-run.ts';
import { isTrace, recordingsOfTrace } from '../step/read-trace.ts';
import { printableData, type Terminal } from '../terminal.ts';

/** The options of `step`. */
export interface StepCommandOptions {
  readonly json: boolean;
  /** How many requests the run makes at most. */
  readonly requests: number;
  /** Which of the runs of a profile, from 1. */
  readonly run: number;
  /** The step to begin with, from 1. */
  readonly at: number;
  /** Which plugins the profile may use. */
  readonly plugins: ResolutionOptions;
  /** Where the profile `-` comes from. */
  readonly input: TextInput | undefined;
}

/** How the JSON of `step` is counted: an older reader understands another one only where this is the same. */
const SCHEMA_VERSION = 1;

/**
 * `step <profile>`: runs a profile with few requests, or reads a trace, and walks through what happened: on a terminal
 * by key, otherwise as text. A run that is refused or fails is walked through like any other.
 */
export async function stepCommand(terminal: Terminal, file: string, options: StepCommandOptions): Promise<ExitStatus> {
  const recorded = await openRecording(terminal, file, options);
  if (typeof recorded === 'number') return recorded;
  const walk = new Walk(recorded);
  const { json, at } = options;
  if (walk.length === 0) {
    terminal.printError(`nothing was recorded: ${recorded.outcome ?? 'the file has no events'}`);
    return ExitStatus.Differed;
  }
  if (at > walk.length) terminal.printError(`--at ${at}: step ${walk.length} is the last one, and is shown`);
  const screen = json ? undefined : terminal.openScreen();
  if (screen !== undefined) {
    await showOnTerminal(new Stepper(walk, at - 1), screen.input, screen.output, terminal.colors);
    printHead(terminal, recorded, walk);
  } else if (json) printAsJson(terminal, walk, at);
  else printAsText(terminal, walk, at);
  return ExitStatus.AsExpected;
}

/** The run of a profile, recorded; or the exit status where there is none. */
async function openRecording(
  terminal: Terminal,
  file: string,
  { json, requests, run, plugins, input }: StepCommandOptions,
): Promise<Recording | ExitStatus> {
  const path = resolve(terminal.cwd, file);
  if (file !== '-' && (await isTrace(path))) {
    const recordings = await recordingsOfTrace(path);
    return recordings[run - 1] ?? noSuchRun(terminal, run, 'trace', recordings.length);
  }
  const runs: CheckedRun[] = [];
  for (const source of await new ProfileWords(terminal.cwd, input).of(file))
    runs.push(...(await checkRuns(source, { ...plugins, baseDirectory: terminal.cwd })));
  const chosen = runs[run - 1];
  if (chosen === undefined) return noSuchRun(terminal, run, 'profile', runs.length);
  const { profile } = chosen;
  if (chosen.error !== undefined) return printError(terminal, chosen.error, json);
  if (profile === undefined) return ExitStatus.Usage;
  const { value, error } = await isolate(
    () => recordRun(profile, requests, plugins),
    (thrown) => blamePlugin(thrown, profile, plugins),
  );
  if (value === undefined) return error === undefined ? ExitStatus.Differed : printError(terminal, error, json);
  if (error !== undefined) printError(terminal, error, json);
  return value;
}

function noSuchRun(terminal: Terminal, run: number, what: string, runs: number): ExitStatus {
  const made = runs === 1 ? 'one run' : `${runs} runs: give --run a number from 1 to ${runs}`;
  terminal.printError(`error: --run ${run}: this ${what} is ${made}`);
  return ExitStatus.Usage;
}

function printAsText(terminal: Terminal, walk: Walk, at: number): void {
  const { recording } = walk;
  printHead(terminal, recording, walk);
  const { columns } = terminal;
  const width = columns < Infinity ? columns : undefined;
  for (let i = firstOf(walk, at); i < walk.length; i++)
    for (const line of stepText(walk, walk.step(i), terminal.colors, width)) terminal.print(line);
  if (recording.outcome !== null) terminal.printSentence(0, printableData(recording.outcome));
}

function printHead(terminal: Terminal, recording: Recording, walk: Walk): void {
  const { name, platform, machine, device, outcome } = printableData({
    name: recording.name,
    platform: recording.platform,
    machine: recording.machine,
    device: recording.device,
    outcome: recording.outcome,
  });
  const who = [platform, machine, device].filter((part) => part !== null).join(', ');
  const parts = [terminal.colors.bold(name), who, `${walk.length} steps`, outcome?.split(':')[0] ?? ''];
  terminal.print(parts.filter((part) => part !== '').join('  '));
  for (const remark of remarks(recording, walk)) terminal.printSentence(2, remark);
}

/** What a reader has to know before the first step. */
function remarks({ dropped, hasMemory, events }: Recording, walk: Walk): string[] {
  const { after } = walk.step(walk.length - 1);
  const isUsed = events.some(({ kind }) => kind === 'publish');
  return [
    ...(isUsed && !after.seesDevice
      ? [
          'The device is in another thread or program, so its own steps are out of sight. ' +
            'What it writes to the ring is there at the next step of the driver.',
        ]
      : []),
    ...(hasMemory ? [] : ['The memory of the rings was not recorded with all of these events.']),
    ...(dropped > 0 ? [`The first ${dropped} events were not kept: what they did is missing in the states.`] : []),
  ];
}

function printAsJson(terminal: Terminal, walk: Walk, at: number): void {
  const { name, platform, machine, device, outcome, dropped, hasMemory } = walk.recording;
  const first = firstOf(walk, at);
  const steps = Array.from({ length: walk.length - first }, (_, i) => stepJson(walk, walk.step(first + i)));
  terminal.printJson({
    schemaVersion: SCHEMA_VERSION,
    run: { name, platform, machine, device, outcome, dropped, hasMemory, steps: walk.length },
    steps,
  });
}

function firstOf({ length }: Walk, at: number): number {
  return Math.min(at, length) - 1;
}
