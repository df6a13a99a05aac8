import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { gzipSync } from 'node:zlib';
import { CpioArchive } from './cpio-archive.ts';
import type { GuestFiles } from './guest-files.ts';
import { orderModules } from './kernel-modules.ts';

/** Before the status of the guest's script, on a line of its own. */
export const ENDED = 'linux-guest: ended with status';

/** What the guest is to do. */
export interface GuestContent {
  /** Loaded before the script runs; those that they depend on need not be named. */
  readonly modules: readonly string[];
  /** A shell script for busybox, whose programs are all in PATH. /proc, /sys and /dev are mounted. */
  readonly script: string;
  /** More files, by their path without a leading slash. */
  readonly files?: Readonly<Record<string, Uint8Array | string>>;
}

/**
 * Firmware, and scripts, may leave a line without an end. `poweroff -f` asks the hardware at once; on a machine that
 * cannot, the panic of a kernel whose init ended does.
 */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do insmod $module || echo "cannot load $module"; done
echo
sh /script
status=$?
echo
echo "${ENDED} $status"
poweroff -f
`;

/** The initramfs of a guest that loads modules, runs a script, says its status and powers itself off. */
export function buildInitramfs({ busybox, modules }: GuestFiles, content: GuestContent): Buffer {
  const archive = new CpioArchive();
  for (const folder of ['proc', 'sys', 'dev', 'tmp', 'modules']) archive.addFolder(folder);
  archive.addFile('bin/busybox', readFileSync(busybox));
  archive.addFile('init', INIT);
  archive.addFile('script', content.script);
  for (const [index, file] of orderModules(modules, content.modules).entries())
    archive.addFile(`modules/${String(index).padStart(3, '0')}-${basename(file)}`, readFileSync(file));
  for (const [path, bytes] of Object.entries(content.files ?? {})) archive.addFile(path, bytes);
  // Smaller takes longer here than it saves there.
  return gzipSync(archive.finish(), { level: 1 });
}
