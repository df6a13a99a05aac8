import { checked, libc, NativeBuffer } from './libc.ts';

const O_CLOEXEC = 0x8_0000;
const O_NONBLOCK = 0x800;

/** The descriptors of a pipe, which the caller closes. */
export interface PipeEnds {
  readonly readEnd: number;
  readonly writeEnd: number;
}

/**
 * Creates a pipe whose ends this process alone has: a program that it starts inherits neither. Reads and writes wait
 * where `isBlocking`. `doing` says in errors what the pipe is for. Throws {@link HostError}.
 */
export function openPipe(doing: string, isBlocking = false): PipeEnds {
  const ends = new NativeBuffer(8);
  try {
    checked(libc().pipe2(ends.address, isBlocking ? O_CLOEXEC : O_CLOEXEC | O_NONBLOCK), 'pipe2', doing);
    return { readEnd: ends.bytes.getInt32(0, true), writeEnd: ends.bytes.getInt32(4, true) };
  } finally {
    ends.dispose();
  }
}
