import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { MissingRequirement } from '@virtio-platform/core';
import { missingProgram } from '@virtio-platform/host';
import { DEBIAN_RELEASE, unpackDebianPackages, type DebianArchitecture } from './debian-packages.ts';

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

interface GuestArchitecture {
  readonly packages: readonly string[];
  readonly emulator: string;
}

const ARCHITECTURES: Readonly<Record<DebianArchitecture, GuestArchitecture>> = {
  amd64: { packages: ['linux-image-amd64', 'busybox-static'], emulator: 'qemu-system-x86_64' },
  ppc64el: { packages: ['linux-image-powerpc64le', 'busybox-static'], emulator: 'qemu-system-ppc64' },
};

/** The QEMU program that emulates an architecture. */
export function emulatorOf(architecture: DebianArchitecture): string {
  return ARCHITECTURES[architecture].emulator;
}

/**
 * What is missing to boot a guest here, so that its tests are skipped. In CI nothing is: they fail, or fetch the
 * kernel.
 */
export function missingForGuest(architecture: DebianArchitecture): MissingRequirement | undefined {
  if (process.env['CI'] !== undefined) return undefined;
  const missing = missingProgram(emulatorOf(architecture));
  if (missing !== undefined || existsSync(folderOf(architecture))) return missing;
  return { what: `Debian's kernel for ${architecture}`, fix: 'npm run fetch-guests' };
}

/** Finds the files in the cache, or fetches them: 10 to 30 seconds. Several processes may do so at the same time. */
export async function guestFiles(architecture: DebianArchitecture): Promise<GuestFiles> {
  const folder = folderOf(architecture);
  if (!existsSync(folder)) await fetchInto(folder, architecture);
  const boot = readdirSync(join(folder, 'boot')).find((name) => /^vmlinu[xz]-/.test(name));
  if (boot === undefined) throw new Error(`no kernel in ${folder}: remove it, and it is fetched again`);
  const version = boot.slice(boot.indexOf('-') + 1);
  return {
    architecture,
    version,
    kernel: join(folder, 'boot', boot),
    modules: join(folder, 'lib/modules', version),
    busybox: join(folder, 'bin/busybox'),
  };
}

function cacheFolder(): string {
  const { VIRTIO_PLATFORM_CACHE: own, XDG_CACHE_HOME: caches } = process.env;
  return own ?? join(caches ?? join(homedir(), '.cache'), 'virtio-platform');
}

function folderOf(architecture: DebianArchitecture): string {
  return join(cacheFolder(), `${DEBIAN_RELEASE}-${architecture}`);
}

/** The folder appears with everything in it or not at all; of two processes the slower one keeps the other's. */
async function fetchInto(folder: string, architecture: DebianArchitecture): Promise<void> {
  for (const program of ['apt-get', 'dpkg-deb']) {
    if (missingProgram(program) !== undefined)
      throw new Error(`${program} is missing, so Debian's kernel cannot be fetched: apt-get install apt dpkg`);
  }
  mkdirSync(cacheFolder(), { recursive: true });
  const work = mkdtempSync(join(cacheFolder(), '.fetch-'));
  try {
    const target = join(work, 'unpacked');
    await unpackDebianPackages(ARCHITECTURES[architecture].packages, architecture, work, target);
    try {
      renameSync(target, folder);
    } catch (error) {
      if (!existsSync(folder)) throw error;
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
