/** What counts against a memory-lock limit when the kernel refuses to lock more. All in bytes. */
export interface LockedMemory {
  /** The limit; `undefined` for no limit. */
  readonly memoryLockLimit: number | undefined;
  /** What counts against it now, of this container and of others; `undefined` where this is not known. */
  readonly lockedBytes?: number | undefined;
}

/** Why a lock of memory was refused, in words. */
export interface LockNeeds {
  /** What is locked, by whom, and the limit. */
  readonly state: string;
  /** What to do. */
  readonly hint: string;
}

/** A lock of memory that was refused. All in bytes. */
export interface LockRequest {
  /** What this container has locked. */
  readonly own: number;
  /** What it needs beside that. */
  readonly wanted: number;
  /** What makes the need smaller. */
  readonly less?: string | undefined;
  /** The limit on the simulated machine; `platform.memoryLockLimit` unless given. */
  readonly option?: string | undefined;
}

const LESS = 'use smaller buffers and queues';

/**
 * Explains why `wanted` more bytes could not be locked beside the `own` bytes of this container: what is locked, and
 * the limit that is needed. The limit also counts what others have locked. Where the kernel does not say how much that
 * is, the limit and what is wanted together suffice, because what others have fits below the limit.
 */
export function memoryLockNeeds(memory: LockedMemory, request: LockRequest): LockNeeds {
  const { own, wanted, less = LESS } = request;
  const { memoryLockLimit: limit, lockedBytes } = memory;
  const least = Math.max(lockedBytes ?? 0, own) + wanted;
  if (limit === undefined || (lockedBytes !== undefined && least <= limit)) {
    return {
      state: `${own} bytes are pinned, and the kernel has no memory for it`,
      hint: `${less}, or free memory of the computer`,
    };
  }
  const others = lockedBytes === undefined ? undefined : lockedBytes - own;
  if (others === undefined && least <= limit) {
    return {
      state: `${own} bytes are pinned, of the ${limit} that may be; others hold the rest`,
      hint: raiseMemoryLock(limit + wanted, request, ', which is enough whatever others hold'),
    };
  }
  const beside = others === undefined || others <= 0 ? '' : ` and of which others hold ${others}`;
  return {
    state: `${own} bytes are pinned, of the ${limit} that may be${beside}`,
    hint: raiseMemoryLock(least, request),
  };
}

function raiseMemoryLock(
  bytes: number,
  { less = LESS, option = 'platform.memoryLockLimit' }: LockRequest,
  because = '',
): string {
  const kibibytes = Math.ceil(bytes / 1024);
  const commands = `ulimit -l ${kibibytes}; where that is refused, sudo prlimit --pid $$ --memlock=${kibibytes * 1024}`;
  return (
    `raise the memory-lock limit to at least ${kibibytes}KiB${because} (${commands}; ${option} on the ` +
    `simulated machine), or ${less}`
  );
}
