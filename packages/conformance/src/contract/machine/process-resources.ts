import { existsSync, readdirSync, readFileSync } from 'node:fs';

const TASKS = '/proc/self/task';

/** How many descriptors this process has open; `undefined` where the system does not tell. */
export function openDescriptors(): number | undefined {
  return existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : undefined;
}

/** The ids of the child processes; `undefined` where the system does not tell. */
export function childProcesses(): readonly string[] | undefined {
  if (!existsSync(TASKS)) return undefined;
  return readdirSync(TASKS).flatMap((task) => childrenOf(task));
}

function childrenOf(task: string): readonly string[] {
  try {
    return readFileSync(`${TASKS}/${task}/children`, 'utf8')
      .split(' ')
      .filter((id) => id !== '');
  } catch {
    // The thread ended meanwhile.
    return [];
  }
}
