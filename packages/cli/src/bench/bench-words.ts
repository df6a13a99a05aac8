import { Argument, InvalidArgumentError, Option, type Command } from 'commander';
import { filterOption } from '../run/run-arguments.ts';

/** The parts of `bench`, in the order of its reports: those of `benchParts`, which is loaded only where it runs. */
export const BENCH_PARTS = [
  'ends',
  'threads',
  'latency',
  'mappings',
  'copies',
  'sizes',
  'live',
  'memory',
  'queues',
  'recorder',
  'back-end',
  'start',
] as const;

/** The options of `bench` as they are written. */
export interface BenchWords {
  readonly filter?: readonly string[];
  readonly list?: boolean;
  readonly quick?: boolean;
  readonly processes?: number;
  readonly requests?: number;
  readonly samples?: number;
  readonly seconds?: number;
  /** Of `--no-inlining-budget`: true unless given. */
  readonly inliningBudget: boolean;
  readonly compare?: string;
  readonly exitCode?: boolean;
  readonly peers?: string;
  readonly html?: string;
  readonly json?: boolean;
}

const BENCH_HELP = `
Each case is measured in processes of its own, of what is built, each pinned to
one core where taskset is installed. Without a C compiler ($CC or cc) it is
compared with nothing. All of it takes half an hour, a trial with --quick five
minutes.

  virtio-platform bench ends
  virtio-platform bench ends threads --json > before.json
  virtio-platform bench ends threads --compare before.json --exit-code
  virtio-platform bench --filter 'mappings/*/split' --html bench.html`;

/** Adds the command to a program. `run` is its body. */
export function addBenchCommand(
  program: Command,
  run: (parts: readonly string[], options: BenchWords) => Promise<void>,
): void {
  const command = program
    .command('bench')
    .description('measures what a request costs: the ring, mappings, latencies; against C and other rings')
    .addArgument(new Argument('[part...]', 'what to measure, if not all of it').choices(BENCH_PARTS))
    .addHelpText('after', BENCH_HELP)
    .action(run);
  for (const option of benchOptions()) command.addOption(option);
}

function benchOptions(): readonly Option[] {
  return [
    filterOption('measures only cases with this in their ids; * is any text, /.../ an expression'),
    new Option('--list', 'lists the cases instead'),
    new Option('--quick', 'a trial: measures everything, and nothing exactly'),
    new Option('--processes <n>', 'processes of each case, 5 unless given').argParser(count(1, 1000)),
    new Option('--requests <n>', 'requests of a sample, 20000 unless given').argParser(count(1, 100_000_000)),
    new Option('--samples <n>', 'samples of a process, 100 unless given').argParser(count(1, 100_000)),
    new Option('--seconds <n>', 'seconds of a latency, 5 unless given').argParser(count(1, 86_400)),
    new Option('--no-inlining-budget', 'measures what a program has that does not call raiseInliningBudget'),
    new Option('--compare <file>', 'says what changed since a report of --json'),
    new Option('--exit-code', 'with --compare: exits with 1 where something is slower'),
    new Option('--peers <file>', 'JSON with figures of other rings, which are shown beside'),
    new Option('--html <file>', 'writes a page that loads nothing, with curves, as well'),
    new Option('--json', 'prints an object'),
  ];
}

function count(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`A whole number from ${least} to ${most}.`);
  };
}
