import { fileURLToPath } from 'node:url';
import { forbidExit, messageOf } from '@virtio-platform/core/errors';
import type { ResolutionOptions } from '@virtio-platform/profile';
import { TOOL_VERSION } from '@virtio-platform/runner/tool-version';
import type { StrictMode } from '@virtio-platform/serve';
import { Argument, Command, CommanderError, Help, InvalidArgumentError, Option } from 'commander';
import { addBenchCommand } from './bench/bench-words.ts';
import type { Shard } from './shard.ts';
import { conformTarget, repeatedCommand, withoutJobs, type ConformWords } from './conform/conform-words.ts';
import { conflictOf } from './reporters/reporter-choice.ts';
import type { ExplainOptions } from './commands/explain.ts';
import type { ListOptions } from './commands/list.ts';
import type { MatrixOptions } from './commands/matrix.ts';
import { Interruption } from './interruption.ts';
import { EXIT_STATUSES, ExitStatus, worstStatus } from './exit-status.ts';
import { SHELLS, type Shell } from './help/completion.ts';
import { MATRIX_FORMATS } from './matrix/matrix-formats.ts';
import { NEW_KINDS, type NewKind } from './new-package/plugin-name.ts';
import { findSwallowedOption } from './npm-options.ts';
import { printError } from './print-error.ts';
import type { ReporterChoice } from './reporters/reporter-choice.ts';
import type { TextInput } from './run/profile-sources.ts';
import {
  filterOf,
  jobsOf,
  reportersOf,
  runOptions,
  setOption,
  shardOption,
  withBailCount,
  type RunArguments,
} from './run/run-arguments.ts';
import { Terminal, type OutputStreams } from './terminal.ts';

interface JsonOption {
  readonly json?: boolean;
}

/** Of `--no-plugins-outside` and `--no-programs`: true unless given. */
interface PluginOptions extends JsonOption {
  readonly pluginsOutside?: boolean;
  readonly programs?: boolean;
  /** Milliseconds. */
  readonly pluginTimeout?: number;
}

interface RunOptions extends PluginOptions, RunArguments {
  readonly sanitize?: boolean;
  readonly stack?: boolean;
}

interface ConformOptions extends PluginOptions, ConformWords {
  readonly list?: boolean;
  readonly filter?: string;
  readonly seed?: number;
  readonly operations?: number;
  readonly save?: string;
  readonly replay?: string;
  readonly fuzz?: number;
  readonly corpus?: string;
  readonly jobs: number;
  readonly shard?: Shard;
  readonly junit?: string;
  readonly html?: string;
  /** Milliseconds. */
  readonly patience: number;
}

const CONFORM_HELP = `
What is on the disk of a block device is overwritten.

  virtio-platform conform profiles/block-4k.yaml
  virtio-platform conform --socket /run/vhost-blk.sock
  virtio-platform conform --filter hostile -- my-back-end --socket {socket}

Exit status: 0 no case failed, 1 one did, 2 wrong usage, 3 something is not installed.`;

function patience(text: string): number {
  const milliseconds = Number(text);
  if (milliseconds >= 10 && milliseconds <= LONGEST_PATIENCE_MS) return Math.ceil(milliseconds);
  throw new InvalidArgumentError(`Milliseconds, 10 to ${LONGEST_PATIENCE_MS}.`);
}

const MOST_JOBS = 64;
const MOST_RUNS = 1_000_000;
const MOST_SEED = 0xffff_ffff;
const LONGEST_PATIENCE_MS = 60_000;

interface ServeOptions extends PluginOptions {
  readonly socket: string;
  readonly once?: boolean;
  readonly strict?: StrictMode;
  readonly poll?: number;
  readonly trace?: string;
  readonly report?: string;
  readonly set?: readonly string[];
}

const SERVE_HELP = `
Of the profile only the device and the layout of its queues count.

  virtio-platform serve block-4k --socket /tmp/disk.sock
  qemu-system-x86_64 ... -object memory-backend-memfd,id=m,size=512M,share=on \\
    -numa node,memdev=m -chardev socket,id=c,path=/tmp/disk.sock \\
    -device vhost-user-blk-pci,chardev=c`;

interface StepOptions extends PluginOptions {
  readonly requests: number;
  readonly run: number;
  readonly at: number;
}

/** The most requests that `step` records every detail of. */
const MOST_STEPPED = 1000;

const NO_PLUGINS_OUTSIDE = [
  '--no-plugins-outside',
  'refuses plugins that are not installed with this command; their code is not loaded',
] as const;
/** Columns of help where the terminal is wider, or is none. */
const HELP_COLUMNS = 80;
/** Columns of a description in help that is wrapped. */
const LEAST_DESCRIPTION = 20;
/** A day. */
const LONGEST_TIMEOUT_S = 86_400;

const NO_PROGRAMS = ['--no-programs', 'refuses machines that start a program'] as const;

function pluginTimeout(): Option {
  return new Option('--plugin-timeout <seconds>', 'how long a plugin may take for one step').argParser((text) => {
    const seconds = Number(text);
    if (seconds > 0 && seconds <= LONGEST_TIMEOUT_S) return Math.ceil(seconds * 1000);
    throw new InvalidArgumentError(`Seconds above 0, at most ${LONGEST_TIMEOUT_S}.`);
  });
}

/** A device or guest address: hexadecimal with 0x, or decimal, of at most 64 bits. */
function parseAddress(text: string): bigint {
  if (/^(?:0x[\da-f]{1,16}|\d{1,20})$/i.test(text) && BigInt(text) < 2n ** 64n) return BigInt(text);
  throw new InvalidArgumentError('An address like 0x800000000001000, of at most 64 bits.');
}

function wholeNumber(least: number, most: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(
      most < Number.MAX_SAFE_INTEGER ? `A whole number from ${least} to ${most}.` : `A whole number from ${least} on.`,
    );
  };
}

function allowedPlugins({
  pluginsOutside,
  programs,
  pluginTimeout: pluginTimeoutMs,
}: PluginOptions): ResolutionOptions {
  return {
    onlyInstalled: pluginsOutside === false,
    noPrograms: programs === false,
    pluginTimeoutMs,
    // What is installed with the command is found from here, also where nothing else sees it.
    resolveFrom: [fileURLToPath(new URL('../package.json', import.meta.url))],
  };
}

/** What a command is given beside its words and streams. */
export interface CommandContext {
  /** The standard input: where the profile `-` comes from. */
  readonly input?: TextInput | undefined;
  /** The signals that ask the command to end. */
  readonly interruption?: Interruption | undefined;
  /** Called before requests are made for so long that it pays off to compile their loops for longer. */
  readonly beforeLongRuns?: (() => void) | undefined;
}

/** Runs one command line (without node and script) and returns its exit status. */
export async function runCommandLine(
  words: readonly string[],
  streams: OutputStreams,
  { input, interruption = new Interruption(), beforeLongRuns }: CommandContext = {},
): Promise<ExitStatus> {
  const terminal = new Terminal(streams);
  let status: ExitStatus = ExitStatus.AsExpected;
  /** Runs a command's body, and prints the error that it ends with. */
  const run = async (json: boolean | undefined, body: () => Promise<ExitStatus>): Promise<void> => {
    const { isolate } = await import('./isolate.ts');
    const allowExit = forbidExit(process);
    const { value, error } = await isolate(body).finally(allowExit);
    if (value !== undefined) status = worstStatus(status, value);
    if (error !== undefined) status = worstStatus(status, printError(terminal, error, json === true));
  };

  const program = new Command('virtio-platform')
    .description('One virtio ring, every platform’s rules.')
    .version(TOOL_VERSION)
    // Descriptions are wrapped also where a long name leaves them less room than commander asks for.
    .configureHelp({ minWidthToWrap: LEAST_DESCRIPTION })
    .showHelpAfterError('(virtio-platform --help lists the commands)')
    .configureOutput({
      getOutHelpWidth: () => Math.min(terminal.columns, HELP_COLUMNS),
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.printError(text.trimEnd()),
    })
    .exitOverride();
  const runProgram = program
    .command('run')
    .description('runs profiles; without one, the shipped ones that need nothing installed')
    .argument('[profile...]', 'YAML files, names of shipped profiles or of their folders, - for the standard input')
    .option('--json', 'prints an array of reports: --reporter json')
    .option('--sanitize', 'looks for the mistakes that drivers make with DMA; much slower')
    .option('--report <file>', 'writes a page of HTML for people, with all that happened')
    .option('--trace <file>', 'writes what driver and device did to a file that Perfetto opens; much slower')
    .option('--stack', 'shows where the error of a failed run was thrown')
    .option(...NO_PROGRAMS)
    .option(...NO_PLUGINS_OUTSIDE)
    .addOption(pluginTimeout())
    .action((profiles: string[], options: RunOptions, command: Command) => {
      const { json = false, sanitize = false, stack = false, quiet = false, verbose = false, set = [] } = options;
      const { bail, seed, repeat, shard, merge, trace, report } = options;
      const reporters = checkedReporters(command, options);
      const [filter, plugins] = [filterOf(options), allowedPlugins(options)];
      const told = { reporters, quiet, verbose, stack };
      if (merge !== undefined) {
        if (profiles.length > 0) command.error('error: --merge takes what --reporter blob wrote, and no profiles');
        return run(json, async () => {
          const { mergeCommand } = await import('./commands/merge.ts');
          return await mergeCommand(terminal, merge, told);
        });
      }
      if (options.jobs !== undefined && profiles.includes('-')) command.error('error: --jobs has no standard input');
      const jobs = jobsOf(profiles, options);
      const chosen = { ...told, filter, shard, jobs, bail, seed, repeat, set, sanitize, trace, report };
      return run(json, async () => {
        const { runCommand } = await import('./commands/run.ts');
        const given = { command: words, version: TOOL_VERSION, plugins, input, interruption, beforeLongRuns };
        return await runCommand(terminal, profiles, { ...chosen, ...given });
      });
    });
  for (const option of runOptions()) runProgram.addOption(option);
  program
    .command('explain')
    .description('says which path addresses take or who refused, and why; or what a code or a key means')
    .argument(
      '<what...>',
      'YAML files, names of shipped profiles, - for the standard input; codes (ERR_…, DMA-…); keys (platform.window.kind)',
    )
    .addOption(
      new Option('--all', 'every rule in order, also those that only looked').conflicts([
        'feature',
        'address',
        'quote',
      ]),
    )
    .option('--feature <name>', 'the whole story of one feature')
    .addOption(
      new Option('--address <address>', 'where an address leads, both ways')
        .argParser(parseAddress)
        .conflicts(['feature', 'quote']),
    )
    .option('--quote', 'a block of plain text for a mail, with Message-ID, clause and commit')
    .option('--json', 'prints an array')
    .option(...NO_PLUGINS_OUTSIDE)
    .action((words: string[], options: ExplainOptions & PluginOptions) =>
      run(options.json, async () => {
        const { explainCommand } = await import('./commands/explain.ts');
        return await explainCommand(terminal, words, options, allowedPlugins(options), {
          version: TOOL_VERSION,
          input,
        });
      }),
    );
  program
    .command('step')
    .description('runs a profile with few requests, or reads a trace, and walks through it one event at a time')
    .argument(
      '<profile>',
      'YAML file, name of a shipped profile, - for the standard input, or a file that `run --trace` wrote',
    )
    .addOption(new Option('--requests <n>', 'requests of the run').argParser(wholeNumber(1, MOST_STEPPED)).default(8))
    .addOption(new Option('--run <n>', 'which run, where the profile is several').argParser(wholeNumber(1)).default(1))
    .addOption(new Option('--at <n>', 'the step to begin with').argParser(wholeNumber(1)).default(1))
    .option('--json', 'prints an object with all steps and the state after each')
    .option(...NO_PROGRAMS)
    .option(...NO_PLUGINS_OUTSIDE)
    .action((file: string, options: StepOptions) => {
      const { json = false, requests, run: which, at } = options;
      const plugins = allowedPlugins(options);
      return run(json, async () => {
        const { stepCommand } = await import('./commands/step.ts');
        return await stepCommand(terminal, file, { json, requests, run: which, at, plugins, input });
      });
    });
  program
    .command('matrix')
    .description('prints what each offer of a device comes to under each platform')
    .argument(
      '[profile...]',
      'YAML files, names of shipped profiles, - for the standard input, or matrices of --json; without one, the shipped platforms',
    )
    .option('--offers <file>', 'YAML file: names, and lists of features')
    .addOption(new Option('--format <format>', 'how to print it').choices(MATRIX_FORMATS).default('table'))
    .option('--rules', 'names the rule and the option that decided each cell')
    .option('--compare <file>', 'the cells that changed since a matrix of --json, or against another profile')
    .option('--exit-code', 'with --compare: exits with 1 where something changed')
    .option('--experimental', 'turns the two features of 2019 on')
    .option('--json', 'prints an array with an object for each platform and layout')
    .option(...NO_PLUGINS_OUTSIDE)
    .action((files: string[], options: MatrixOptions & PluginOptions) =>
      run(options.json, async () => {
        const { matrixCommand } = await import('./commands/matrix.ts');
        return await matrixCommand(terminal, files, options, allowedPlugins(options), input);
      }),
    );
  program
    .command('conform')
    .description('tries a device: does it do what the specification says, and what does a hostile driver do to it?')
    .argument('[profile]', 'YAML file, or name of a shipped profile: its device; or, behind --, a command')
    .argument('[words...]', 'behind --: a vhost-user back-end to start; {socket} stands for its socket')
    .option('--socket <path>', 'a vhost-user back-end that listens at this socket')
    .option('--pci <address>', 'a virtio device that is bound to vfio-pci: 0000:00:03.0')
    .option('--type <type>', 'what a vhost-user back-end is, since the protocol does not tell (default: a disk)')
    .option('--filter <text>', 'the cases whose id has this text in it; with * the whole id: ring/*/packed')
    .option('--list', 'lists the cases instead')
    .addOption(new Option('--seed <number>', 'what random operations follow from').argParser(wholeNumber(0, MOST_SEED)))
    .addOption(
      new Option('--operations <count>', 'how long the run of random operations is').argParser(
        wholeNumber(1, MOST_RUNS),
      ),
    )
    .option('--save <folder>', 'writes the operations of a failure there, as few as still fail')
    .option('--replay <file>', 'takes the operations of such a file instead')
    .addOption(
      new Option('--fuzz [runs]', 'breaks the rules at random instead, as often as that')
        .argParser(wholeNumber(1, MOST_RUNS))
        .preset(1000),
    )
    .option('--corpus <folder>', 'samples for --fuzz to begin with, and where it writes those that it finds')
    .addOption(
      new Option('-j, --jobs <count>', 'processes that share the cases, each with a device of its own')
        .argParser(wholeNumber(1, MOST_JOBS))
        .default(1),
    )
    .addOption(shardOption('every nth case only: 1/3, 2/3, 3/3'))
    .option('--junit <file>', 'writes JUnit XML, for CI systems, as well')
    .option('--html <file>', 'writes a page that loads nothing, for people, as well')
    .addOption(
      new Option('--patience <milliseconds>', 'how long a device may take over one request')
        .argParser(patience)
        .default(1000),
    )
    .option('--json', 'prints an object')
    .option(...NO_PROGRAMS)
    .option(...NO_PLUGINS_OUTSIDE)
    .addOption(pluginTimeout())
    .addHelpText('after', CONFORM_HELP)
    .action((profile: string | undefined, rest: string[], options: ConformOptions) => {
      const { json = false, list = false, filter, jobs, shard, junit, html, patience: patienceMs } = options;
      refuseConflict(program, { '--junit': junit, '--html': html });
      return run(json, async () => {
        const { conformCommand } = await import('./commands/conform.ts');
        const operands = [...(profile === undefined ? [] : [profile]), ...rest];
        const target = conformTarget(words, operands, options);
        const plugins = allowedPlugins(options);
        const repeat = repeatedCommand(words);
        const { seed, operations, save, replay, fuzz, corpus } = options;
        const own = { jobs, shard, words: withoutJobs(words), seed, operations, save, replay, fuzz, corpus };
        const chosen = { json, list, filter, junit, html, patienceMs, plugins };
        return await conformCommand(terminal, target, repeat, { ...chosen, ...own });
      });
    });
  program
    .command('serve')
    .description('is the device of a profile for a guest or a program: a vhost-user back-end at a socket')
    .argument('<profile>', 'YAML file, or name of a shipped profile')
    .requiredOption('--socket <path>', 'the socket to listen at; removed at the end')
    .addOption(setOption())
    .addOption(
      new Option('--strict [mode]', 'tells what the driver does wrong; fail ends the device with the first mistake')
        .choices(['warn', 'fail'])
        .preset('warn'),
    )
    .addOption(
      new Option(
        '--poll <microseconds>',
        'looks at the rings for so long, at most, before it waits for a notification; as long as that pays off',
      ).argParser(wholeNumber(0, 1_000_000)),
    )
    .option('--trace <file>', 'writes what the device does, for Perfetto')
    .option('--report <file>', 'writes a page of HTML of what the device did')
    .option('--once', 'ends with the first front-end')
    .option('--json', 'prints an object in a line for each thing that happens')
    .option(...NO_PLUGINS_OUTSIDE)
    .addOption(pluginTimeout())
    .addHelpText('after', SERVE_HELP)
    .action((file: string, options: ServeOptions) => {
      const { socket, strict, poll = 0, trace, report, once = false, json = false, set = [] } = options;
      refuseConflict(program, { '--trace': trace, '--report': report });
      const plugins = allowedPlugins(options);
      return run(json, async () => {
        const { serveCommand } = await import('./commands/serve.ts');
        beforeLongRuns?.();
        return await serveCommand(terminal, file, {
          socket,
          strict,
          poll,
          trace,
          report,
          once,
          json,
          set,
          plugins,
          interruption,
        });
      });
    });
  addBenchCommand(program, (parts, options) =>
    run(options.json, async () => {
      const { benchCommand } = await import('./commands/bench.ts');
      return await benchCommand(terminal, parts, options, { words, version: TOOL_VERSION, interruption });
    }),
  );
  program
    .command('check')
    .description('validates profiles and says where they are wrong')
    .argument('<profile...>', 'YAML files, names of shipped profiles, - for the standard input')
    .option('--json', 'prints an array of results')
    .option(...NO_PROGRAMS)
    .option(...NO_PLUGINS_OUTSIDE)
    .addOption(pluginTimeout())
    .action((files: string[], options: PluginOptions) =>
      run(options.json, async () => {
        const { checkCommand } = await import('./commands/check.ts');
        return await checkCommand(terminal, files, options.json === true, allowedPlugins(options), input);
      }),
    );
  program
    .command('list')
    .description('lists what can run here, and what is missing with the package to install')
    .addOption(new Option('--all', 'each profile with its summary, each plugin with its package and version'))
    .addOption(new Option('--verbose', 'the same as --all').hideHelp())
    .option('--json', 'prints an object')
    .action(({ all, verbose, json }: ListOptions & { readonly verbose?: boolean }) =>
      run(json, async () => {
        const { listCommand } = await import('./commands/list.ts');
        return await listCommand(terminal, { all: all === true || verbose === true, json: json === true });
      }),
    );
  program
    .command('schema')
    .description('prints the JSON Schema of profiles, for editors')
    .option('--report', 'that of what `run --json` prints instead, for programs')
    .action(({ report }: { readonly report?: boolean }) =>
      run(false, async () => {
        const { schemaCommand } = await import('./commands/schema.ts');
        return await schemaCommand(terminal, report === true);
      }),
    );

  program
    .command('new')
    .description('makes a package of your own: a plugin with its test and a profile, ready to run')
    .addArgument(new Argument('<kind>', 'what it is').choices(NEW_KINDS))
    .argument('<name>', 'of the package: my-board, or @mine/my-board')
    .option('--into <folder>', 'where to make it, if not in a folder of its name')
    .action((kind: NewKind, name: string, { into }: { readonly into?: string }) =>
      run(false, async () => {
        const { newCommand } = await import('./commands/new.ts');
        return newCommand(terminal, kind, name, { into, version: TOOL_VERSION });
      }),
    );

  program
    .command('completion')
    .description('prints the completion of the command for a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .action((shell: Shell) =>
      run(false, async () => {
        const { completionCommand } = await import('./commands/completion.ts');
        return completionCommand(terminal, program, shell);
      }),
    );
  program
    .command('manual')
    .description('prints the manual page of the command, in roff')
    .action(() =>
      run(false, async () => {
        const { manualCommand } = await import('./commands/completion.ts');
        return manualCommand(terminal, program, TOOL_VERSION);
      }),
    );
  program.addHelpText('afterAll', ({ error }) => (error ? '' : `\n${exitStatusHelp(terminal.columns)}`));

  const swallowed = findSwallowedOption(program);
  if (swallowed !== undefined) {
    terminal.printError(swallowed);
    return ExitStatus.Usage;
  }
  try {
    await program.parseAsync(withBailCount(words), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? ExitStatus.AsExpected : ExitStatus.Usage;
  }
  return status;
}

/** Ends the command line where two options name one file. */
function refuseConflict(command: Command, files: Readonly<Record<string, string | undefined>>): void {
  const conflict = conflictOf([], files);
  if (conflict !== undefined) command.error(`error: ${conflict}`);
}

/** Ends the command line where the reporters exclude each other. */
function checkedReporters(command: Command, options: RunOptions): readonly ReporterChoice[] {
  try {
    return reportersOf(options, options.json === true);
  } catch (error) {
    return command.error(`error: ${messageOf(error)}`);
  }
}

/** The exit statuses as the help of every command shows them. */
function exitStatusHelp(columns: number): string {
  const lines = EXIT_STATUSES.map(([status, text]) => {
    const [first = '', ...others] = new Help().boxWrap(text, Math.min(columns, HELP_COLUMNS) - 5).split('\n');
    return [`  ${status}  ${first}`, ...others.map((line) => `     ${line}`)].join('\n');
  });
  return ['Exit status:', ...lines].join('\n');
}
