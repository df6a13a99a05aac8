import { execFile } from 'node:child_process';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import type { Profile } from '@virtio-platform/profile';

/** A program that is the device, and its version. */
export interface BackEndIdentity {
  /** The file name: `qemu-storage-daemon`. */
  readonly program: string;
  /** `7.2.22`; empty where the program does not say. */
  readonly version: string;
}

/** How long a program may take to say its version. */
const VERSION_MS = 3000;
/** The boards of QEMU, by what its programs are called. */
const QEMU = 'qemu-system-x86_64';
const OTHER_QEMUS: Readonly<Record<string, string>> = {
  pseries: 'qemu-system-ppc64',
  virt: 'qemu-system-aarch64',
};

/**
 * Asks the program that is the device of a profile for its version (`--version`); `undefined` where conform does not
 * know of a program.
 */
export async function identifyBackEnd({ machine }: Profile): Promise<BackEndIdentity | undefined> {
  const command: unknown = machine.options['command'];
  const first: unknown = Array.isArray(command) ? command[0] : qemuOf(machine.use, machine.options['board']);
  if (typeof first !== 'string') return undefined;
  const program = basename(first);
  // Only of programs that are known to answer and to do nothing else.
  if (!program.startsWith('qemu-')) return { program, version: '' };
  try {
    const { stdout } = await promisify(execFile)(first, ['--version'], { timeout: VERSION_MS });
    return { program, version: /\b\d+\.\d+(\.\d+)?/.exec(stdout)?.[0] ?? '' };
  } catch {
    return { program, version: '' };
  }
}

function qemuOf(use: string, board: unknown): string | undefined {
  if (!use.endsWith('machine-qemu')) return undefined;
  return OTHER_QEMUS[String(board)] ?? QEMU;
}
