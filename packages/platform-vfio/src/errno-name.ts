import { EEXIST, EFAULT, EINVAL, ENOMEM, ENOSPC, EPERM } from './vfio-container.ts';

const NAMES: ReadonlyMap<number, string> = new Map([
  [EPERM, 'EPERM'],
  [ENOMEM, 'ENOMEM'],
  [EFAULT, 'EFAULT'],
  [EEXIST, 'EEXIST'],
  [EINVAL, 'EINVAL'],
  [ENOSPC, 'ENOSPC'],
]);

/** The name of a negated errno, for messages. */
export function errnoName(result: number): string {
  return NAMES.get(result) ?? `errno ${-result}`;
}
