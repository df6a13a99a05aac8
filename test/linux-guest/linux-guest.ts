import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { missingProgram, StartedProgram, TemporaryFolder } from '@virtio-platform/host';
import { emulatorOf, guestFiles } from './guest-files.ts';
import type { DebianArchitecture, DebianRelease } from './debian-packages.ts';
import { buildInitramfs, ENDED, type GuestContent } from './initramfs.ts';

export interface LinuxGuestOptions extends GuestContent {
  readonly architecture: DebianArchitecture;
  /** Of Debian; {@link DEBIAN_RELEASE} unless told. */
  readonly release?: DebianRelease | undefined;
  /** What QEMU is given beside the kernel: machine, processor, memory, devices. */
  readonly arguments: readonly string[];
  /** More of the kernel's command line. */
  readonly append?: string;
  /** Whether the guest may reboot; otherwise that ends it. */
  readonly reboots?: boolean;
  /** What is done beside it; `until` waits for a text on its console. The guest is ended where it fails. */
  readonly during?: (until: (text: string) => Promise<void>) => Promise<void>;
  /** From QEMU's start to its end; {@link TIMEOUT_MS} unless told. */
  readonly timeoutMs?: number;
}

/** What came of a guest that powered itself off. */
export interface LinuxGuestResult {
  /** Everything on its console, lines ended by `\n`. */
  readonly console: string;
  /** Of its script. */
  readonly status: number;
  /** From QEMU's start to its end. */
  readonly durationMs: number;
}

/**
 * The console of each architecture, and a panic that ends QEMU instead of hanging. A PC's timer is not tested at boot:
 * where the emulator itself has to wait for a processor, it would be found broken. Kernels for amd64 and arm64 test no
 * ciphers and work around no processor, which takes a fifth of a boot in emulation.
 */
const COMMAND_LINES: Readonly<Record<DebianArchitecture, string>> = {
  amd64: 'console=ttyS0 quiet panic=-1 no_timer_check cryptomgr.notests mitigations=off',
  arm64: 'console=ttyAMA0 quiet panic=-1 cryptomgr.notests mitigations=off',
  ppc64el: 'console=hvc0 quiet panic=-1',
};
/** A boot takes 7 seconds; ten times as long where other emulators are at work. */
const TIMEOUT_MS = 110_000;
const POLL_MS = 50;
/** How QEMU ends when the guest powers itself off, or resets after a panic. */
const SUCCESS = 'ended by itself';
/** A guest that prints more is ended. */
const LARGEST_CONSOLE = 16 << 20;
/** How much of the console's end is shown in an error. */
const SHOWN_CONSOLE = 4000;

/**
 * Boots Debian's kernel in software emulation, runs a script in it and gives what was on its console. QEMU is ended by
 * its process id on every way out. Throws, with the end of the console, for a guest that does not end by itself with
 * the script's status.
 */
export async function runLinuxGuest(options: LinuxGuestOptions): Promise<LinuxGuestResult> {
  const { architecture, append = '', reboots = false } = options;
  const emulator = emulatorOf(architecture);
  const missing = missingProgram(emulator);
  if (missing !== undefined) throw new Error(`${missing.what} is missing: ${missing.fix}`);
  const files = await guestFiles(architecture, options.release);
  const folder = new TemporaryFolder();
  try {
    const [initramfs, log] = [folder.pathOf('initramfs'), folder.pathOf('console')];
    writeFileSync(initramfs, buildInitramfs(files, options));
    writeFileSync(log, '');
    const command = [emulator, '-nodefaults', '-display', 'none', ...(reboots ? [] : ['-no-reboot'])];
    command.push('-serial', `file:${log}`, '-kernel', files.kernel, '-initrd', initramfs);
    command.push('-append', `${COMMAND_LINES[architecture]} ${append}`, ...options.arguments);
    const startedAt = performance.now();
    const ending = await runToEnd(command, folder, log, options);
    const durationMs = performance.now() - startedAt;
    const console = readFileSync(log, 'utf8').replaceAll('\r', '');
    const status = new RegExp(`^${ENDED} (\\d+)$`, 'm').exec(console)?.[1];
    if (ending !== SUCCESS || status === undefined)
      throw new Error(`the ${architecture} guest ${ending}; its console ended with:\n${console.slice(-SHOWN_CONSOLE)}`);
    return { console, status: Number(status), durationMs };
  } finally {
    folder.dispose();
  }
}

/** How QEMU ended, with what it printed, or why it was ended. */
async function runToEnd(
  command: readonly string[],
  folder: TemporaryFolder,
  log: string,
  { timeoutMs = TIMEOUT_MS, during }: LinuxGuestOptions,
): Promise<string> {
  const program = await StartedProgram.start(command, {
    role: 'emulator',
    hint: 'look at what it printed',
    folder: folder.pathOf('.'),
    errorFile: folder.pathOf('errors'),
    abandon: () => folder.dispose(),
  });
  const until = async (text: string): Promise<void> => {
    while (!readFileSync(log, 'utf8').includes(text)) {
      if (program.ending !== undefined) throw new Error(`the guest ended, and did not say “${text}”`);
      await setTimeout(POLL_MS);
    }
  };
  let failed: { readonly error: unknown } | undefined;
  const beside = during?.(until).catch((error: unknown) => (failed = { error }));
  try {
    for (const end = performance.now() + timeoutMs; program.ending === undefined; await setTimeout(POLL_MS)) {
      if (performance.now() > end) return `did not end within ${timeoutMs} ms. ${program.stderrTail()}`;
      if (failed !== undefined) throw failed.error;
      if (statSync(log).size > LARGEST_CONSOLE) return `printed more than ${LARGEST_CONSOLE} bytes`;
    }
    return program.ending === 'status 0' ? SUCCESS : `ended with ${program.ending}. ${program.stderrTail()}`;
  } finally {
    await program.end();
    await beside;
  }
}
