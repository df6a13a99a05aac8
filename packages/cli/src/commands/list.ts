import { basename, dirname } from 'node:path';
import { codedErrorOf, printable, type MachineDiscovery, type MissingRequirement } from '@virtio-platform/core';
import {
  discoverMachine,
  displayPath,
  type InstalledPlugin,
  installedPlugins,
  loadProfiles,
  missingRequirements,
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

/** The options of `list`. */
export interface ListOptions {
  /** Each profile with its summary, each plugin with its package and version. */
  readonly all?: boolean;
  readonly json?: boolean;
}

/** `list`: what can run here, and what is missing with how to get it; with `all` each profile and plugin. */
export async function listCommand(terminal: Terminal, { all, json }: ListOptions): Promise<ExitStatus> {
  const shipped = await Promise.all(shippedProfiles().map((file) => loadProfiles(file)));
  const profiles = await Promise.all(shipped.flat().map((profile) => listProfile(profile)));
  const plugins = await listPlugins(terminal.cwd);
  if (json === true) terminal.printJson({ profiles, plugins });
  else if (all === true) printLists(terminal, printableData(profiles), printableData(plugins));
  else printShort(terminal, printableData(profiles), printableData(plugins));
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

/** The heading of each kind of plugin. */
const HEADINGS: Readonly<Record<string, string>> = {
  platform: 'platforms',
  machine: 'machines',
  device: 'device types',
  unknown: 'plugins that cannot be loaded',
};

/** Columns of the headings of the short list. */
const HEADING = 14;
/** The folder of the profiles that need nothing installed. */
const SHIPPED = 'profiles';

function printShort(terminal: Terminal, profiles: readonly ListedProfile[], plugins: readonly ListedPlugin[]): void {
  const { bold, dim, red } = terminal.colors;
  const line = (heading: string, text: string): void => {
    if (text !== '') terminal.printHanging(heading.padEnd(HEADING), text);
  };
  terminal.print(bold('runs here'));
  const folders = byFolder(profiles.filter(({ missing }) => missing.length === 0));
  line('profiles', [...(folders.get(SHIPPED) ?? [])].join(', '));
  const others = [...folders].filter(([folder]) => folder !== SHIPPED);
  line('and in', others.map(([folder, names]) => `${folder} (${names.size})`).join(', '));
  for (const kind of ['platform', 'machine', 'device']) {
    const ofKind = plugins.filter((plugin) => plugin.kind === kind && plugin.error === null);
    line(HEADINGS[kind] ?? kind, ofKind.map(({ name }) => name).join(', '));
  }
  const wants = missingBy(profiles);
  if (wants.size > 0) terminal.print(bold('\nmissing here'));
  for (const [what, names] of wants) {
    terminal.printHanging('  ', what);
    terminal.printHanging('    ', dim(`for ${[...names].join(', ')}`));
  }
  for (const { package: name, error } of plugins)
    if (error !== null) terminal.printHanging('', `${red(name)}: ${error}`);
  for (const { name, discovered } of plugins) {
    if (discovered === null || discovered.devices.length + discovered.missing.length === 0) continue;
    terminal.print(bold(`\ndevices of machine ${name}`));
    printDiscovery(terminal, discovered, '  ', ({ what, fix }) => wants.has(`${what}: ${fix}`));
  }
  terminal.print(dim('\nlist --all: each profile with its summary, each plugin with its package'));
}

/** The names of the profiles of each folder, each once: without what tells its runs apart. */
function byFolder(profiles: readonly ListedProfile[]): ReadonlyMap<string, ReadonlySet<string>> {
  const folders = new Map<string, Set<string>>();
  for (const { profile, file } of profiles) {
    const folder = basename(dirname(file));
    folders.set(folder, (folders.get(folder) ?? new Set()).add(profile.split(' [', 1)[0]!));
  }
  return folders;
}

/** What is missing with how to get it, and the profiles that need it. */
function missingBy(profiles: readonly ListedProfile[]): ReadonlyMap<string, ReadonlySet<string>> {
  const wants = new Map<string, Set<string>>();
  for (const { profile, missing } of profiles) {
    for (const { what, fix } of missing) {
      const key = `${what}: ${fix}`;
      wants.set(key, (wants.get(key) ?? new Set()).add(profile.split(' [', 1)[0]!));
    }
  }
  return wants;
}

function printLists(terminal: Terminal, profiles: readonly ListedProfile[], plugins: readonly ListedPlugin[]): void {
  const { bold, dim, green, yellow, red } = terminal.colors;
  const width = Math.max(...profiles.map(({ profile }) => profile.length));
  terminal.print(bold('profiles'));
  for (const { profile, file, summary, missing } of profiles) {
    const mark = missing.length === 0 ? green('runs here') : yellow('missing  ');
    terminal.print(
      `  ${profile.padEnd(width)}  ${mark}  ${summary}  ${dim(printable(displayPath(file, terminal.cwd)))}`,
    );
    for (const { what, fix } of missing) terminal.print(`  ${''.padEnd(width)}  ${yellow(`${what}: ${fix}`)}`);
  }
  for (const kind of ['platform', 'machine', 'device', 'unknown']) {
    const ofKind = plugins.filter((plugin) => plugin.kind === kind);
    if (ofKind.length === 0) continue;
    terminal.print(`\n${bold(HEADINGS[kind] ?? kind)}`);
    for (const { name, package: packageName, version, error, discovered } of ofKind) {
      terminal.print(`  ${name.padEnd(12)}  ${packageName} ${dim(version)}${error === null ? '' : `  ${red(error)}`}`);
      if (discovered !== null) printDiscovery(terminal, discovered);
    }
  }
}

/** In front of what a machine found: as wide as the names of plugins. */
const INDENT = ' '.repeat(16);

/** Prints what a machine found behind `indent`; `isTold` are those requirements that were printed before. */
function printDiscovery(
  terminal: Terminal,
  { devices, missing }: MachineDiscovery,
  indent: string = INDENT,
  isTold: (requirement: MissingRequirement) => boolean = () => false,
): void {
  const wanted = (all: readonly MissingRequirement[]): readonly MissingRequirement[] =>
    all.filter((one) => !isTold(one));
  const { green, yellow } = terminal.colors;
  for (const { what, fix } of wanted(missing)) terminal.printHanging(indent, yellow(`${what}: ${fix}`));
  if (devices.length === 0) terminal.print(`${indent}finds no device here`);
  const width = Math.max(0, ...devices.map(({ name }) => name.length));
  for (const device of devices) {
    const details = Object.entries(device.details).map(([name, value]) => `${name} ${value}`);
    const isReady = missing.length + device.missing.length === 0;
    const mark = isReady ? green('ready  ') : yellow('missing');
    const lines = [device.what, ...details].join(', ');
    terminal.printHanging(`${indent}${device.name.padEnd(width)}  ${mark}  `, lines);
    for (const { what, fix } of wanted(device.missing)) terminal.printHanging(`${indent}  `, yellow(`${what}: ${fix}`));
  }
}
