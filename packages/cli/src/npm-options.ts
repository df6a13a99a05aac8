import type { Command } from 'commander';

/** The scripts of the repository that run this command. */
const SCRIPTS: readonly (string | undefined)[] = ['start', 'virtio-platform', 'bench'];

/**
 * What to say where npm took an option of this command for its own, as in `npm start x.yaml --sanitize` without `--`;
 * `undefined` where it did not. npm hands such an option on in the environment only.
 */
export function findSwallowedOption(
  program: Command,
  environment: NodeJS.ProcessEnv = process.env,
): string | undefined {
  const script = environment['npm_lifecycle_event'];
  if (!SCRIPTS.includes(script)) return undefined;
  const flags = program.commands.flatMap(({ options }) => options.flatMap(({ long }) => long ?? []));
  const swallowed = flags.find((flag) => isSwallowed(flag, environment));
  if (swallowed === undefined) return undefined;
  const command = script === 'start' ? 'npm start' : `npm run ${script}`;
  return `error: npm took the option ${swallowed} for its own: write \`${command} -- ... ${swallowed}\`, with \`--\``;
}

/**
 * What to say where npm wrote its banner into the output; `undefined` where it did not. `isFile` is whether the output
 * goes to a file, in which a program would read the banner.
 */
export function findBanner(isFile: boolean, environment: NodeJS.ProcessEnv = process.env): string | undefined {
  if (!isFile || !SCRIPTS.includes(environment['npm_lifecycle_event'])) return undefined;
  if (environment['npm_config_loglevel'] === 'silent') return undefined;
  return 'npm wrote its banner into the output: `npm run --silent` and `npm start --silent` leave it out';
}

/** npm gives an option as `npm_config_NAME`, and one that begins with `no-` as an empty `npm_config_NAME`. */
function isSwallowed(flag: string, environment: NodeJS.ProcessEnv): boolean {
  const isNegated = flag.startsWith('--no-');
  const name = flag.slice(isNegated ? 5 : 2).replaceAll('-', '_');
  const value = environment[`npm_config_${name}`];
  return isNegated ? value === '' : value !== undefined && value !== '';
}
