import { fstatSync, readlinkSync } from 'node:fs';
import { checked, closeDescriptor, libc } from './libc.ts';

const F_GETFL = 3;
const F_SETFL = 4;
const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_NONBLOCK = 0x800;
const F_ADD_SEALS = 1033;
const F_SEAL_SHRINK = 2;

/** What a descriptor that another process gave refers to. */
export interface PeerDescriptor {
  readonly kind: 'eventfd' | 'pipe' | 'socket' | 'file' | 'other';
  readonly isReadable: boolean;
  readonly isWritable: boolean;
}

/** Looks at a descriptor that another process gave, before it is used. Throws {@link HostError}. */
export function inspectDescriptor(descriptor: number): PeerDescriptor {
  const flags = checked(libc().fcntl(descriptor, F_GETFL, 0), 'fcntl', 'look at a descriptor');
  const mode = flags & O_ACCMODE;
  return { kind: kindOf(descriptor), isReadable: mode !== O_WRONLY, isWritable: mode !== O_RDONLY };
}

/**
 * Has calls on a descriptor that another process gave return instead of wait, until that process changes the flags,
 * which it shares. Throws {@link HostError}; then the descriptor is closed.
 */
export function neverWait(descriptor: number): void {
  try {
    const flags = checked(libc().fcntl(descriptor, F_GETFL, 0), 'fcntl', 'look at a descriptor');
    checked(libc().fcntl(descriptor, F_SETFL, flags | O_NONBLOCK), 'fcntl', 'have a descriptor not wait');
  } catch (error) {
    closeDescriptor(descriptor);
    throw error;
  }
}

/** A file of memory that another process gave. */
export interface PeerFile {
  /** Bytes. */
  readonly size: number;
  /** What offsets and addresses of a mapping are multiples of: a page, or a huge page. */
  readonly alignment: number;
  /** The same for two descriptors of one file. */
  readonly identity: string;
}

/** Looks at a file of memory that another process gave. Throws the error of fstat(2). */
export function inspectFile(descriptor: number): PeerFile {
  const { size, blksize, dev, ino } = fstatSync(descriptor, { bigint: true });
  return { size: Number(size), alignment: Number(blksize), identity: `${dev}:${ino}` };
}

/**
 * Keeps a file of memory that another process gave from becoming shorter, which would end this process at its next
 * access. Returns false where the file does not let itself be sealed: only the process that has it made knows then.
 */
export function sealAgainstShrinking(descriptor: number): boolean {
  return libc().fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK) === 0;
}

function kindOf(descriptor: number): PeerDescriptor['kind'] {
  const link = readlinkSync(`/proc/self/fd/${descriptor}`);
  if (link === 'anon_inode:[eventfd]') return 'eventfd';
  if (link.startsWith('pipe:[')) return 'pipe';
  if (link.startsWith('socket:[')) return 'socket';
  const status = fstatSync(descriptor, { bigint: true });
  if (status.isFIFO()) return 'pipe';
  return status.isFile() ? 'file' : 'other';
}
