import { execFileSync } from 'node:child_process';

/** The processors that this process may run on, where programs can be pinned to one; none elsewhere. */
export function pinnableCores(): readonly number[] {
  if (process.platform !== 'linux') return [];
  try {
    const printed = execFileSync('taskset', ['-pc', `${process.pid}`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return coresOf(printed.split(':').at(-1) ?? '');
  } catch {
    // Not installed, or not allowed.
    return [];
  }
}

/** Reads a list like `0-3,8`. Numbers that are none are left out. */
export function coresOf(list: string): readonly number[] {
  return list.split(',').flatMap((part) => {
    const [first = NaN, last = first] = part
      .trim()
      .split('-')
      .map((text) => (/^\d+$/.test(text) ? Number(text) : NaN));
    return Array.from({ length: Math.max(0, last - first + 1 || 0) }, (_, i) => first + i);
  });
}

/** A command, of one program and its parameters, that runs on this core alone; unchanged without one. */
export function pinned(command: readonly string[], core: number | undefined): readonly string[] {
  return core === undefined ? command : ['taskset', '-c', `${core}`, ...command];
}
