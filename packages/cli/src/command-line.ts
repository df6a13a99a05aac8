import { createRequire } from 'node:module';
import { Command, CommanderError, Option } from 'commander';
import { checkCommand } from './commands/check.ts';
import { explainCommand } from './commands/explain.ts';
import { listCommand } from './commands/list.ts';
import { MATRIX_FORMATS, matrixCommand, type MatrixOptions } from './commands/matrix.ts';
import { runCommand } from './commands/run.ts';
import { schemaCommand } from './commands/schema.ts';
import { ExitStatus } from './exit-status.ts';
import { printError } from './print-error.ts';
import { Terminal, type OutputStreams } from './terminal.ts';

interface JsonOption {
  readonly json?: boolean;
}

interface RunOptions extends JsonOption {
  readonly sanitize?: boolean;
}

/** Runs one command line (without node and script) and returns its exit status. */
export async function runCommandLine(words: readonly string[], streams: OutputStreams): Promise<ExitStatus> {
  const terminal = new Terminal(streams);
  let status: ExitStatus = ExitStatus.AsExpected;
  /** Runs a command's body, with coded errors printed for whoever reads. */
  const run = async (json: boolean | undefined, body: () => Promise<ExitStatus>): Promise<void> => {
    try {
      status = await body();
    } catch (error) {
      status = printError(terminal, error, json === true);
    }
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
    .action((files: string[], options: RunOptions) => {
      const { json = false, sanitize = false } = options;
      return run(json, () => runCommand(terminal, files, { json, sanitize }));
    });
  program
    .command('explain')
    .description('says why each feature was accepted, declined or refused, and which path the addresses take')
    .argument('<profile>', 'YAML file')
    .option('--json', 'prints an object; an array where the profile is several runs')
    .action((file: string, options: JsonOption) =>
      run(options.json, () => explainCommand(terminal, file, options.json === true)),
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
    .action((files: string[], options: MatrixOptions) =>
      run(options.json, () => matrixCommand(terminal, files, options)),
    );
  program
    .command('check')
    .description('validates profiles and says where they are wrong')
    .argument('<profile...>', 'YAML files')
    .option('--json', 'prints an array of results')
    .action((files: string[], options: JsonOption) =>
      run(options.json, () => checkCommand(terminal, files, options.json === true)),
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
