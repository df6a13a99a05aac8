import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { MissingRequirement } from '@virtio-platform/core';
import { missingProgram } from '@virtio-platform/host';
import {
  DEBIAN_RELEASE,
  unpackDebianPackages,
  type DebianArchitecture,
  type DebianRelease,
  type DebianTarget,
} from './debian-packages.ts';

/** What a guest is made of, unpacked from Debian's packages. */
export interface GuestFiles {
  readonly architecture: DebianArchitecture;
  /** As `uname -r` says it. */
  readonly version: string;
  readonly kernel: string;
  /** The folder of this kernel's modules. */
  readonly modules: string;
  /** A program that needs no library. */
  readonly busybox: string;
}

const EMULATORS: Readonly<Record<DebianArchitecture, string>> = {
  amd64: 'qemu-system-x86_64',
  arm64: 'qemu-system-aarch64',
  ppc64el: 'qemu-system-ppc64',
};

const KERNELS: Readonly<Record<DebianRelease, Readonly<Partial<Record<DebianArchitecture, string>>>>> = {
  bookworm: { amd64: 'linux-image-amd64', arm64: 'linux-image-arm64', ppc64el: 'linux-image-powerpc64le' },
  // The smaller kernels for guests.
  trixie: { amd64: 'linux-image-cloud-amd64', arm64: 'linux-image-cloud-arm64' },
};

/** The guest that the tests boot. The others are those of `npm run linux` and `npm run guests`. */
export const TESTED_GUEST: DebianTarget = { architecture: 'amd64', release: DEBIAN_RELEASE };

/** The QEMU program that emulates an architecture. */
export function emulatorOf(architecture: DebianArchitecture): string {
  return EMULATORS[architecture];
}

/**
 * What is missing to boot a guest here, so that its tests are skipped. In CI nothing is: they fail, or fetch the
 * kernel.
 */
export function missingForGuest(
  architecture: DebianArchitecture,
  release = DEBIAN_RELEASE,
): MissingRequirement | undefined {
  if (process.env['CI'] !== undefined) return undefined;
  const missing = missingProgram(emulatorOf(architecture));
  if (missing !== undefined || existsSync(folderOf({ architecture, release }))) return missing;
  const isTested = architecture === TESTED_GUEST.architecture && release === TESTED_GUEST.release;
  return {
    what: `Debian's kernel for ${architecture} of ${release}`,
    fix: isTested ? 'npm run fetch-guests' : 'npm run fetch-guests -- all',
  };
}

/** Finds the files in the cache, or fetches them: 10 to 30 seconds. Several processes may do so at the same time. */
export async function guestFiles(architecture: DebianArchitecture, release = DEBIAN_RELEASE): Promise<GuestFiles> {
  const folder = folderOf({ architecture, release });
  if (!existsSync(folder)) await fetchInto(folder, { architecture, release });
  const boot = readdirSync(join(folder, 'boot')).find((name) => /^vmlinu[xz]-/.test(name));
  if (boot === undefined) throw new Error(`no kernel in ${folder}: remove it, and it is fetched again`);
  const version = boot.slice(boot.indexOf('-') + 1);
  return {
    architecture,
    version,
    kernel: join(folder, 'boot', boot),
    modules: findIn(folder, `lib/modules/${version}`),
    busybox: findIn(folder, 'bin/busybox'),
  };
}

/** Releases from trixie on have in `usr` what others have in the root folder. */
function findIn(folder: string, path: string): string {
  return [join(folder, path), join(folder, 'usr', path)].find((candidate) => existsSync(candidate)) ?? path;
}

function cacheFolder(): string {
  const { VIRTIO_PLATFORM_CACHE: own, XDG_CACHE_HOME: caches } = process.env;
  return own ?? join(caches ?? join(homedir(), '.cache'), 'virtio-platform');
}

function folderOf({ architecture, release }: DebianTarget): string {
  return join(cacheFolder(), `${release}-${architecture}`);
}

/** The folder appears with everything in it or not at all; of two processes the slower one keeps the other's. */
async function fetchInto(folder: string, from: DebianTarget): Promise<void> {
  for (const program of ['apt-get', 'dpkg-deb']) {
    if (missingProgram(program) !== undefined)
      throw new Error(`${program} is missing, so Debian's kernel cannot be fetched: apt-get install apt dpkg`);
  }
  const kernel = KERNELS[from.release][from.architecture];
  if (kernel === undefined) throw new TypeError(`no guest is made of ${from.release} for ${from.architecture}`);
  mkdirSync(cacheFolder(), { recursive: true });
  const work = mkdtempSync(join(cacheFolder(), '.fetch-'));
  try {
    const target = join(work, 'unpacked');
    await unpackDebianPackages([kernel, 'busybox-static'], from, work, target);
    try {
      renameSync(target, folder);
    } catch (error) {
      if (!existsSync(folder)) throw error;
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
