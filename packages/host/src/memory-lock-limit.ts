import { readFileSync } from 'node:fs';
import { libc } from './libc.ts';
import { NativeBuffer } from './native-buffer.ts';
import { checked } from './system-call.ts';

const RLIMIT_MEMLOCK = 8;
const RLIM_INFINITY = 2n ** 64n - 1n;
const CAP_IPC_LOCK = 14n;

/** Bytes that the kernel lets this process lock (`ulimit -l`); `undefined` where it does not count. Throws {@link HostError}. */
export function memoryLockLimit(): number | undefined {
  if (hasCapability(CAP_IPC_LOCK)) return undefined;
  const limits = new NativeBuffer(16);
  try {
    checked(libc().getrlimit(RLIMIT_MEMLOCK, limits.address), 'getrlimit', 'ask for the memory-lock limit');
    // The first word is the limit that counts; the second is how far this process may raise it.
    const soft = limits.bytes.getBigUint64(0, true);
    return soft === RLIM_INFINITY ? undefined : Number(soft);
  } finally {
    limits.dispose();
  }
}

/** proc(5): capabilities that are in effect are one hexadecimal number. */
function hasCapability(bit: bigint): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> bit) & 1n) === 1n;
}
