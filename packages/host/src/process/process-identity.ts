import { readFileSync, readlinkSync } from 'node:fs';

/** What tells one process of this computer from every other, also from a later one with the same id. */
export interface ProcessIdentity {
  /** Of the kernel since it started. */
  readonly boot: string;
  /** The PID namespace, in which `pid` counts. */
  readonly namespace: string;
  readonly pid: number;
  /** When the process started, in clock ticks since the kernel did. */
  readonly started: string;
}

/** The identity of this process; `undefined` on an operating system that does not tell it. */
export function thisProcess(): ProcessIdentity | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const namespace = readlinkSync('/proc/self/ns/pid');
    const started = startOf(process.pid);
    return started === undefined ? undefined : { boot, namespace, pid: process.pid, started };
  } catch {
    return undefined;
  }
}

/** Whether `owner` is the identity of a process that has ended. Of another namespace nothing is known. */
export function isStale(owner: unknown, { boot, namespace }: ProcessIdentity): boolean {
  if (!isIdentity(owner)) return false;
  if (owner.boot !== boot) return true;
  return owner.namespace === namespace && startOf(owner.pid) !== owner.started;
}

function isIdentity(value: unknown): value is ProcessIdentity {
  if (typeof value !== 'object' || value === null) return false;
  const { boot, namespace, pid, started } = value as Partial<Record<keyof ProcessIdentity, unknown>>;
  const texts = [boot, namespace, started].every((text) => typeof text === 'string' && text !== '');
  return texts && typeof pid === 'number' && Number.isSafeInteger(pid) && pid > 0;
}

/** Field 22 of proc_pid_stat(5); `undefined` where no such process runs. */
function startOf(pid: number): string | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, field 2, stands in parentheses and may have spaces and parentheses itself.
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
