import { relative } from 'node:path';
import { isCodedError, type MissingRequirement } from '@virtio-platform/core';
import { installedPlugins, loadProfiles, missingRequirements, type Profile } from '@virtio-platform/profile';
import { ExitStatus } from '../exit-status.ts';
import { pluginBases } from '../plugin-bases.ts';
import { shippedProfiles } from '../shipped-profiles.ts';
import type { Terminal } from '../terminal.ts';

interface ListedProfile {
  readonly profile: string;
  readonly file: string;
  readonly summary: string;
  /** What is missing to run it here. */
  readonly missing: readonly MissingRequirement[];
}

interface ListedPlugin {
  readonly name: string;
  readonly kind: string;
  readonly package: string;
  readonly version: string;
  readonly error: string | null;
}

/** `list`: profiles, plugins and machines, and what is missing here. */
export async function listCommand(terminal: Terminal, asJson: boolean): Promise<ExitStatus> {
  const shipped = await Promise.all(shippedProfiles().map((file) => loadProfiles(file)));
  const profiles = await Promise.all(shipped.flat().map((profile) => listProfile(profile)));
  const plugins = await listPlugins(terminal.cwd);
  if (asJson) terminal.printJson({ profiles, plugins });
  else printLists(terminal, profiles, plugins);
  return ExitStatus.AsExpected;
}

async function listProfile(profile: Profile): Promise<ListedProfile> {
  const { name, file, summary } = profile;
  return { profile: name, file, summary, missing: await missingRequirements(profile) };
}

async function listPlugins(cwd: string): Promise<ListedPlugin[]> {
  const installed = await installedPlugins(pluginBases(cwd));
  return installed.map(({ use, version, plugin, error }) => ({
    name: plugin?.name ?? use,
    kind: plugin?.kind ?? 'unknown',
    package: use,
    version,
    error: isCodedError(error) ? error.message : null,
  }));
}

function printLists(terminal: Terminal, profiles: readonly ListedProfile[], plugins: readonly ListedPlugin[]): void {
  const { bold, dim, green, yellow, red } = terminal.colors;
  const width = Math.max(...profiles.map(({ profile }) => profile.length));
  terminal.print(bold('profiles'));
  for (const { profile, file, summary, missing } of profiles) {
    const mark = missing.length === 0 ? green('runs here') : yellow('missing  ');
    terminal.print(`  ${profile.padEnd(width)}  ${mark}  ${summary}  ${dim(relative(terminal.cwd, file))}`);
    for (const { what, fix } of missing) terminal.print(`  ${''.padEnd(width)}  ${yellow(`${what}: ${fix}`)}`);
  }
  for (const kind of ['platform', 'machine', 'unknown']) {
    const ofKind = plugins.filter((plugin) => plugin.kind === kind);
    if (ofKind.length === 0) continue;
    terminal.print(`\n${bold(kind === 'unknown' ? 'plugins that cannot be loaded' : `${kind}s`)}`);
    for (const { name, package: packageName, version, error } of ofKind) {
      terminal.print(`  ${name.padEnd(12)}  ${packageName} ${dim(version)}${error === null ? '' : `  ${red(error)}`}`);
    }
  }
}
