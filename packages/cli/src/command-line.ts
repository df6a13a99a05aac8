import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { forbidExit } from '@virtio-platform/core';
import type { ResolutionOptions } from '@virtio-platform/profile';
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { checkCommand } from './commands/check.ts';
import { conformCommand } from './commands/conform.ts';
import { conformTarget, repeatedCommand, type ConformWords } from './conform-words.ts';
import { explainCommand } from './commands/explain.ts';
import { listCommand } from './commands/list.ts';
import { MATRIX_FORMATS, matrixCommand, type MatrixOptions } from './commands/matrix.ts';
import { newCommand } from './commands/new.ts';
import { runCommand } from './commands/run.ts';
import { schemaCommand } from './commands/schema.ts';
import { ExitStatus, worstStatus } from './exit-status.ts';
import { isolate } from './isolate.ts';
import { NEW_KINDS, type NewKind } from './new-package/plugin-name.ts';
import { findSwallowedOption } from './npm-options.ts';
import { printError } from './print-error.ts';
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

interface RunOptions extends PluginOptions {
  readonly sanitize?: boolean;
  readonly stack?: boolean;
}

interface ConformOptions extends PluginOptions, ConformWords {
  readonly list?: boolean;
  readonly filter?: string;
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

const LONGEST_PATIENCE_MS = 60_000;

const NO_PLUGINS_OUTSIDE = [
  '--no-plugins-outside',
  'refuses plugins that are not installed with this command; their code is not loaded',
] as const;
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

/** Runs one command line (without node and script) and returns its exit status. */
export async function runCommandLine(words: readonly string[], streams: OutputStreams): Promise<ExitStatus> {
  const terminal = new Terminal(streams);
  let status: ExitStatus = ExitStatus.AsExpected;
  /** Runs a command's body, and prints the error that it ends with. */
  const run = async (json: boolean | undefined, body: () => Promise<ExitStatus>): Promise<void> => {
    const allowExit = forbidExit(process);
    const { value, error } = await isolate(body).finally(allowExit);
    if (value !== undefined) status = worstStatus(status, value);
    if (error !== undefined) status = worstStatus(status, printError(terminal, error, json === true));
  };

  const program = new Command('virtio-platform')
    .description('One virtio ring, every platform’s rules.')
    .version(version())
    .showHelpAfterError('(virtio-platform --help lists the commands)')
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.printError(text.trimEnd()),
    })
    .exitOverride();
  program
    .command('run')
    .description('runs profiles; without one, the shipped ones that need nothing installed')
    .argument('[profile...]', 'YAML files')
    .option('--json', 'prints an array of reports')
    .option('--sanitize', 'looks for the mistakes that drivers make with DMA; much slower')
    .option('--stack', 'shows where the error of a failed run was thrown')
    .option(...NO_PROGRAMS)
    .option(...NO_PLUGINS_OUTSIDE)
    .addOption(pluginTimeout())
    .action((files: string[], options: RunOptions) => {
      const { json = false, sanitize = false, stack = false } = options;
      const plugins = allowedPlugins(options);
      return run(json, () => runCommand(terminal, files, { json, sanitize, stack, plugins }));
    });
  program
    .command('explain')
    .description('says why each feature was accepted, declined or refused, and which path the addresses take')
    .argument('<profile>', 'YAML file')
    .option('--json', 'prints an object; an array where the profile is several runs')
    .option(...NO_PLUGINS_OUTSIDE)
    .action((file: string, options: PluginOptions) =>
      run(options.json, () => explainCommand(terminal, file, options.json === true, allowedPlugins(options))),
    );
  program
    .command('matrix')
    .description('prints what each offer of a device comes to under each platform')
    .argument('[profile...]', 'YAML files; without one, the platforms that are shipped')
    .option('--offers <file>', 'YAML file: names, and lists of features')
    .addOption(new Option('--format <format>', 'how to print it').choices(MATRIX_FORMATS).default('table'))
    .option('--rules', 'names the rule that decided each cell')
    .option('--experimental', 'turns the two features of 2019 on')
    .option('--json', 'prints an array with an object for each platform')
    .option(...NO_PLUGINS_OUTSIDE)
    .action((files: string[], options: MatrixOptions & PluginOptions) =>
      run(options.json, () => matrixCommand(terminal, files, options, allowedPlugins(options))),
    );
  program
    .command('conform')
    .description('tries a device: does it do what the specification says, and what does a hostile driver do to it?')
    .argument('[profile]', 'YAML file: the device of this profile; or, behind --, a command')
    .argument('[words...]', 'behind --: a vhost-user back-end to start; {socket} stands for its socket')
    .option('--socket <path>', 'a vhost-user back-end that listens at this socket')
    .option('--pci <address>', 'a virtio device that is bound to vfio-pci: 0000:00:03.0')
    .option('--type <type>', 'what a vhost-user back-end is, since the protocol does not tell', 'block')
    .option('--filter <text>', 'the cases whose id has this text in it; with * the whole id: ring/*/packed')
    .option('--list', 'lists the cases instead')
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
    .action((profile: string | undefined, rest: string[], options: ConformOptions) =>
      run(options.json, async () => {
        const { json = false, list = false, filter, patience: patienceMs } = options;
        const operands = [...(profile === undefined ? [] : [profile]), ...rest];
        const target = conformTarget(words, operands, options);
        const plugins = allowedPlugins(options);
        const repeat = repeatedCommand(words);
        return await conformCommand(terminal, target, repeat, { json, list, filter, patienceMs, plugins });
      }),
    );
  program
    .command('check')
    .description('validates profiles and says where they are wrong')
    .argument('<profile...>', 'YAML files')
    .option('--json', 'prints an array of results')
    .option(...NO_PROGRAMS)
    .option(...NO_PLUGINS_OUTSIDE)
    .addOption(pluginTimeout())
    .action((files: string[], options: PluginOptions) =>
      run(options.json, () => checkCommand(terminal, files, options.json === true, allowedPlugins(options))),
    );
  program
    .command('list')
    .description('lists profiles, plugins and machines, and what is missing to run them here')
    .option('--json', 'prints an object')
    .action((options: JsonOption) => run(options.json, () => listCommand(terminal, options.json === true)));
  program
    .command('schema')
    .description('prints the JSON Schema of profiles, for editors')
    .action(() => run(false, () => schemaCommand(terminal)));

  program
    .command('new')
    .description('makes a package of your own: a plugin with its test and a profile, ready to run')
    .addArgument(new Argument('<kind>', 'what it is').choices(NEW_KINDS))
    .argument('<name>', 'of the package: my-board, or @mine/my-board')
    .option('--into <folder>', 'where to make it, if not in a folder of its name')
    .action((kind: NewKind, name: string, { into }: { readonly into?: string }) =>
      run(false, async () => newCommand(terminal, kind, name, { into, version: version() })),
    );

  const swallowed = findSwallowedOption(program);
  if (swallowed !== undefined) {
    terminal.printError(swallowed);
    return ExitStatus.Usage;
  }
  try {
    await program.parseAsync([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? ExitStatus.AsExpected : ExitStatus.Usage;
  }
  return status;
}

function version(): string {
  const manifest: unknown = createRequire(import.meta.url)('../package.json');
  const isManifest = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return isManifest ? String(manifest.version) : 'unknown';
}
