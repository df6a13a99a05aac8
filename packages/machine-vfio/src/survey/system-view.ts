import { accessSync, constants } from 'node:fs';
import { userInfo } from 'node:os';
import { memoryLockLimit } from '@virtio-platform/host';

/** The computer as a survey sees it, and who looks. */
export interface SystemView {
  /** What /sys and /dev are below of: empty for this computer. */
  readonly root: string;
  /** Name, or number, of the user that is to have the device. */
  readonly user: string;
  /** Whether this user may read and write a file, by its whole path. */
  readonly mayUse: (path: string) => boolean;
  /** Bytes this process may lock; `undefined` where there is no limit. */
  readonly memoryLockLimit: number | undefined;
}

/** This computer and this user. Throws {@link HostError} where it is no Linux. */
export function thisSystem(): SystemView {
  return { root: '', user: userName(), mayUse, memoryLockLimit: memoryLockLimit() };
}

function mayUse(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** A user without a name, as there are in containers, has a number. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '');
  }
}
