/**
 * `npm run vfio-guest`: boots Debian's Linux in emulation with a disk, a network and a source of random bytes behind an
 * Intel IOMMU, hands them to an ordinary user, and runs the command there as that user. What follows `--` are the
 * command's own words, in a folder that has the profiles of profiles/vfio-device; without any they are run. Ends with
 * the command's status.
 */
import 'reflect-metadata';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleForGuest, guestNode } from './guest-bundle.ts';
import { guestDisk, guestEntropy, guestNetwork } from './guest-devices.ts';
import { runVfioGuest } from './vfio-guest.ts';

const PROFILES = fileURLToPath(new URL('../../profiles/vfio-device', import.meta.url));
const CAPACITY = 64 * 2 ** 20;
/**
 * 20,000 requests of 4 KiB take a quarter of a minute there, and the profiles have some of them. `conform` has a
 * thousand cases, a few of which a second.
 */
const TIMEOUT_MS = 3_600_000;

/** The devices that the profiles name, at their addresses. */
function devices(folder: string): string[] {
  const disk = guestDisk(folder, { name: 'disk', slot: '03', bytes: CAPACITY });
  return [...disk, ...guestNetwork(folder, '04'), ...guestEntropy('05')];
}

/**
 * The same without packed rings: QEMU 7.2 never returns from one that a driver broke, and the computer that tries it is
 * in the same QEMU.
 */
function splitOnly(words: readonly string[]): string[] {
  return words.map((word) => word.replace('packed=on', 'packed=off'));
}

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
try {
  await bundleForGuest(folder, {
    plugins: ['platform-vfio', 'machine-vfio', 'device-block', 'device-net', 'device-entropy'],
    programs: { main: 'packages/cli/src/main.ts' },
  });
  const profiles = readdirSync(PROFILES);
  for (const name of profiles) copyFileSync(join(PROFILES, name), join(folder, name));
  mkdirSync(join(folder, 'profiles'));
  const words = process.argv.length > 2 ? process.argv.slice(2) : ['run', ...profiles];
  console.error(
    `virtio-platform ${words.join(' ')}: as an ordinary user in an emulated Linux, which takes about a minute`,
  );
  const program = guestNode(folder, 'main').split(' ');
  const { output, kernelLog, status } = await runVfioGuest({
    devices: words[0] === 'conform' ? splitOnly(devices(folder)) : devices(folder),
    assigned: ['0000:00:03.0', '0000:00:04.0', '0000:00:05.0'],
    lockedKiB: 65_536,
    folder,
    // Through a pipe: the guest's console is no terminal of this user's, so there is no colour and no progress.
    command: ['/bin/bash', '-o', 'pipefail', '-c', '"$@" 2>&1 </dev/null | cat', 'guest', ...program, ...words],
    timeoutMs: TIMEOUT_MS,
  });
  console.log(output.trimEnd());
  const faults = kernelLog.split('\n').filter((line) => /DMAR:.*fault/.test(line));
  if (faults.length > 0) console.log(`the IOMMU stopped:\n${faults.join('\n')}`);
  process.exitCode = status;
} finally {
  rmSync(folder, { recursive: true });
}
