import { relative } from 'node:path';
import { codedErrorOf, printable, type MachineDiscovery, type MissingRequirement } from '@virtio-platform/core';
import {
  installedPlugins,
  loadProfiles,
  missingRequirements,
  discoverMachine,
  type InstalledPlugin,
  type Profile,
} from '@virtio-platform/profile';
import { ExitStatus } from '../exit-status.ts';
import { pluginBases } from '../plugin-bases.ts';
import { shippedProfiles } from '../shipped-profiles.ts';
import { printableData, type Terminal } from '../terminal.ts';

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
  /** Of a machine that looks for devices: what it found here. */
  readonly discovered: MachineDiscovery | null;
}

/** `list`: profiles, plugins and machines, and what is missing here. */
export async function listCommand(terminal: Terminal, asJson: boolean): Promise<ExitStatus> {
  const shipped = await Promise.all(shippedProfiles().map((file) => loadProfiles(file)));
  const profiles = await Promise.all(shipped.flat().map((profile) => listProfile(profile)));
  const plugins = await listPlugins(terminal.cwd);
  if (asJson) terminal.printJson({ profiles, plugins });
  else printLists(terminal, printableData(profiles), printableData(plugins));
  return ExitStatus.AsExpected;
}

async function listProfile(profile: Profile): Promise<ListedProfile> {
  const { name, file, summary } = profile;
  return { profile: name, file, summary, missing: await missingRequirements(profile) };
}

async function listPlugins(cwd: string): Promise<ListedPlugin[]> {
  const installed = await installedPlugins(pluginBases(cwd));
  return await Promise.all(installed.map((plugin) => listPlugin(plugin)));
}

async function listPlugin(installed: InstalledPlugin): Promise<ListedPlugin> {
  const { use, version, plugin, error } = installed;
  const listed = { name: plugin?.name ?? use, kind: plugin?.kind ?? 'unknown', package: use, version };
  try {
    return { ...listed, error: error?.message ?? null, discovered: (await discoverMachine(installed)) ?? null };
  } catch (failure) {
    return { ...listed, error: codedErrorOf(failure).message, discovered: null };
  }
}

function printLists(terminal: Terminal, profiles: readonly ListedProfile[], plugins: readonly ListedPlugin[]): void {
  const { bold, dim, green, yellow, red } = terminal.colors;
  const width = Math.max(...profiles.map(({ profile }) => profile.length));
  terminal.print(bold('profiles'));
  for (const { profile, file, summary, missing } of profiles) {
    const mark = missing.length === 0 ? green('runs here') : yellow('missing  ');
    terminal.print(`  ${profile.padEnd(width)}  ${mark}  ${summary}  ${dim(printable(relative(terminal.cwd, file)))}`);
    for (const { what, fix } of missing) terminal.print(`  ${''.padEnd(width)}  ${yellow(`${what}: ${fix}`)}`);
  }
  for (const kind of ['platform', 'machine', 'unknown']) {
    const ofKind = plugins.filter((plugin) => plugin.kind === kind);
    if (ofKind.length === 0) continue;
    terminal.print(`\n${bold(kind === 'unknown' ? 'plugins that cannot be loaded' : `${kind}s`)}`);
    for (const { name, package: packageName, version, error, discovered } of ofKind) {
      terminal.print(`  ${name.padEnd(12)}  ${packageName} ${dim(version)}${error === null ? '' : `  ${red(error)}`}`);
      if (discovered !== null) printDiscovery(terminal, discovered);
    }
  }
}

function printDiscovery(terminal: Terminal, { devices, missing }: MachineDiscovery): void {
  const { green, yellow } = terminal.colors;
  for (const { what, fix } of missing) terminal.print(`${''.padEnd(16)}${yellow(`${what}: ${fix}`)}`);
  if (devices.length === 0) terminal.print(`${''.padEnd(16)}finds no device here`);
  for (const device of devices) {
    const details = Object.entries(device.details).map(([name, value]) => `${name} ${value}`);
    const isReady = missing.length + device.missing.length === 0;
    const mark = isReady ? green('ready  ') : yellow('missing');
    terminal.print(`${''.padEnd(16)}${device.name}  ${mark}  ${[device.what, ...details].join(', ')}`);
    for (const { what, fix } of device.missing) terminal.print(`${''.padEnd(18)}${yellow(`${what}: ${fix}`)}`);
  }
}
