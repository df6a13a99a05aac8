import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Debian's releases, as it calls them. */
export type DebianRelease = 'bookworm' | 'trixie';
/** The release whose kernel a guest boots, unless another one is named. */
export const DEBIAN_RELEASE: DebianRelease = 'bookworm';

/** As Debian calls it. */
export type DebianArchitecture = 'amd64' | 'arm64' | 'ppc64el';

const ARCHIVE = 'http://deb.debian.org/debian';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** What packages are for. */
export interface DebianTarget {
  readonly architecture: DebianArchitecture;
  readonly release: DebianRelease;
}

/** Of each step: lists of 9 MB, packages of 70 MB, 400 MB to unpack. */
const STEP_TIMEOUT_MS = 300_000;

/**
 * Downloads packages of any architecture, checked against Debian's keys, and unpacks them into `target`. Needs no root
 * and leaves the system's own packages alone: apt works in `folder`, which the caller removes. A meta package stands
 * for the first package that it depends on.
 */
export async function unpackDebianPackages(
  names: readonly string[],
  from: DebianTarget,
  folder: string,
  target: string,
): Promise<void> {
  const configuration = writeAptConfiguration(from, folder);
  const apt = async (program: string, ...words: readonly string[]): Promise<string> =>
    await step(folder, program, '-c', configuration, ...words);
  await apt('apt-get', 'update', '--quiet');
  const real: string[] = [];
  for (const name of names) real.push(realPackage(name, await apt('apt-cache', 'depends', name)));
  await apt('apt-get', 'download', '--quiet', ...real);
  for (const file of readdirSync(folder)) {
    if (file.endsWith('.deb')) await step(folder, 'dpkg-deb', '--extract', file, target);
  }
  await step(folder, 'find', target, '-name', '*.ko.xz', '-exec', 'xz', '--decompress', '{}', '+');
}

/** The kernel's package has a name of its own for each version; the one that is always there depends on it. */
function realPackage(name: string, depends: string): string {
  if (!name.startsWith('linux-image-')) return name;
  const found = /^\s*Depends: (linux-image-\S+)$/m.exec(depends);
  if (found === null) throw new Error(`apt-cache knows no kernel that ${name} depends on: ${depends}`);
  return found[1]!;
}

/**
 * Everything that apt would read or write elsewhere is in `folder`; proxies of the system's configuration still count.
 */
function writeAptConfiguration({ architecture, release }: DebianTarget, folder: string): string {
  for (const name of ['state/lists/partial', 'cache/archives/partial'])
    mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, 'status'), '');
  writeFileSync(join(folder, 'sources.list'), `deb [signed-by=${KEYRING}] ${ARCHIVE} ${release} main\n`);
  const path = join(folder, 'apt.conf');
  writeFileSync(
    path,
    `#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architecture "${architecture}";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "${folder}/state/";
Dir::State::status "${folder}/status";
Dir::Cache "${folder}/cache/";
Dir::Etc::SourceList "${folder}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
`,
  );
  return path;
}

async function step(cwd: string, program: string, ...words: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run(program, words, { cwd, timeout: STEP_TIMEOUT_MS, maxBuffer: 1 << 24 });
    return stdout;
  } catch (cause) {
    const { stderr = '' } = cause as { stderr?: string };
    throw new Error(`${program} ${words.join(' ')} failed: ${stderr.trim()}`, { cause });
  }
}
