import { InvalidArgumentError, Option } from 'commander';
import { conflictOf, readReporters, REPORTER_NAMES, type ReporterChoice } from '../reporters/reporter-choice.ts';
import { nameFilter, type NameFilter } from './name-filter.ts';
import { readShard, type Shard } from '../shard.ts';

/** The most repetitions of a run. */
const MOST_REPETITIONS = 10_000;
const MOST_SEED = 2 ** 32 - 1;
/** The most processes of one command. */
const MOST_JOBS = 64;

/** What the options of `run` that this file reads come to. */
export interface RunArguments {
  readonly reporter?: readonly ReporterChoice[];
  readonly filter?: readonly string[];
  readonly shard?: Shard;
  /** Processes that share the runs. */
  readonly jobs?: number;
  /** Files of `--reporter blob`. */
  readonly merge?: readonly string[];
  readonly bail?: number;
  readonly seed?: number;
  readonly repeat?: number;
  readonly set?: readonly string[];
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly trace?: string;
  readonly report?: string;
}

/** The options of `run` that choose runs, and how they are told of. */
export function runOptions(): readonly Option[] {
  return [
    new Option(
      '--reporter <name[=file]>',
      `how to tell of the runs, and where: ${REPORTER_NAMES.join(', ')}; may be given several times`,
    ).argParser((text, before: readonly ReporterChoice[] | undefined) => [
      ...(before ?? []),
      ...checked(() => readReporters(text)),
    ]),
    filterOption('makes only runs with this in their names; * is any text, /.../ an expression'),
    setOption(),
    new Option('--seed <n>', 'the seed of every workload').argParser((text) => wholeNumber(text, 0, MOST_SEED)),
    new Option('--repeat <n>', 'makes each run n times; each time the seed is one more').argParser((text) =>
      wholeNumber(text, 1, MOST_REPETITIONS),
    ),
    new Option('--bail [n]', 'makes no more runs after n that are not as expected, or after one')
      .preset('1')
      .argParser((text) => wholeNumber(text, 1, Number.MAX_SAFE_INTEGER)),
    shardOption('every nth run only: 1/3, 2/3, 3/3; for several machines'),
    new Option('-j, --jobs <count>', 'processes that share the runs; the output is that of one')
      .argParser((text) => wholeNumber(text, 1, MOST_JOBS))
      .conflicts(['trace', 'report']),
    new Option(
      '--merge <file...>',
      'makes no runs: tells of those of all shards, whose --reporter blob=FILE wrote these files',
    ).conflicts(OF_MADE_RUNS),
    new Option('--quiet', 'shows only the runs that are not as expected, and how many are'),
    new Option('--verbose', 'shows all that is known of each run').conflicts('quiet'),
  ];
}

/** Options that only runs which are made can have. */
const OF_MADE_RUNS = ['filter', 'set', 'seed', 'repeat', 'bail', 'shard', 'jobs', 'sanitize', 'report', 'trace'];

/** The processes that share the runs of a command, and the command line of each. */
export interface RunJobs {
  readonly count: number;
  /** Without what says how runs are told of. */
  readonly words: readonly string[];
}

/** The processes of `--jobs`; `undefined` where this process makes the runs. */
export function jobsOf(
  profiles: readonly string[],
  {
    jobs: count = 1,
    filter = [],
    set = [],
    seed,
    repeat,
    sanitize = false,
    programs,
    pluginsOutside,
    pluginTimeout,
  }: RunArguments & {
    readonly sanitize?: boolean;
    readonly programs?: boolean;
    readonly pluginsOutside?: boolean;
    /** Milliseconds. */
    readonly pluginTimeout?: number;
  },
): RunJobs | undefined {
  if (count === 1) return undefined;
  const words = [
    'run',
    ...profiles,
    ...filter.map((text) => `--filter=${text}`),
    ...set.map((text) => `--set=${text}`),
    ...(seed === undefined ? [] : [`--seed=${seed}`]),
    ...(repeat === undefined ? [] : [`--repeat=${repeat}`]),
    ...(sanitize ? ['--sanitize'] : []),
    ...(programs === false ? ['--no-programs'] : []),
    ...(pluginsOutside === false ? ['--no-plugins-outside'] : []),
    ...(pluginTimeout === undefined ? [] : [`--plugin-timeout=${pluginTimeout / 1000}`]),
  ];
  return { count, words };
}

/** `--filter`, once for each pattern. */
export function filterOption(description: string): Option {
  return new Option('--filter <text>', description).argParser((text, before: readonly string[] | undefined) => {
    checked(() => nameFilter([text]));
    return [...(before ?? []), text];
  });
}

/** The filter of the patterns. */
export function filterOf({ filter = [] }: Pick<RunArguments, 'filter'>): NameFilter {
  return nameFilter(filter);
}

/**
 * The reporters of a command line: those that it names, with `--json` that of JSON, and for people the list, unless
 * one of them writes to the standard output. Throws `RangeError` where two of them, or the trace or the page and one of
 * them, would write into each other.
 */
export function reportersOf({ reporter = [], trace, report }: RunArguments, json: boolean): readonly ReporterChoice[] {
  const named: readonly ReporterChoice[] = json ? [...reporter, { name: 'json', file: undefined }] : reporter;
  const isShown = named.some(({ file }) => file === undefined);
  const choices: readonly ReporterChoice[] = isShown ? named : [{ name: 'list', file: undefined }, ...named];
  const conflict = conflictOf(choices, { '--trace': trace, '--report': report });
  if (conflict !== undefined) throw new RangeError(conflict);
  return choices;
}

/** `--bail` takes the next word only where that is a number, and not the name of a profile. */
export function withBailCount(words: readonly string[]): string[] {
  return words.map((word, at) => (word === '--bail' && !/^\d+$/.test(words[at + 1] ?? '') ? '--bail=1' : word));
}

function wholeNumber(text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new InvalidArgumentError(`A whole number from ${least} to ${most}.`);
}

function checked<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

/** `--shard`; `what` says of what. */
export function shardOption(what: string): Option {
  return new Option('--shard <part>', what).argParser((text) => {
    const shard = readShard(text);
    if (shard === undefined) throw new InvalidArgumentError('A part like 1/3: the first of three.');
    return shard;
  });
}

/** `--set`, once for each value. */
export function setOption(): Option {
  return new Option('--set <path=value>', 'sets a value of the profiles: queue.layout=packed').argParser(
    (text, before: readonly string[] | undefined) => [...(before ?? []), text],
  );
}
