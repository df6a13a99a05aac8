import { checked, closeDescriptor, HostError, libc, NativeBuffer } from '../libc.ts';

/** The address family of Unix sockets (sys/socket.h). */
export const AF_UNIX = 1;
/** The type of the sockets of this package. */
export const SOCK_STREAM_NONBLOCK_CLOEXEC = 0x8_0801;
/** The same of a socket for datagrams, which is only used to find out about others. */
export const SOCK_DGRAM_NONBLOCK_CLOEXEC = 0x8_0802;
/** Bytes of struct sockaddr_un: a 16-bit family and 108 bytes of path, of which the last is 0. */
export const ADDRESS_BYTES = 110;
const LONGEST_PATH = 107;

/**
 * Creates a socket and has `use` connect or bind it to `path`. Returns its descriptor, which the caller closes. Throws
 * {@link HostError}, and what `use` throws; then nothing stays open.
 */
export function openUnixSocket(
  path: string,
  doing: 'connect' | 'listen',
  use: (descriptor: number, address: bigint) => void,
  type: number = SOCK_STREAM_NONBLOCK_CLOEXEC,
): number {
  const name = Buffer.from(path);
  if (name.length > LONGEST_PATH || name.includes(0)) {
    const verb = doing === 'connect' ? 'connect to' : 'listen at';
    throw new HostError('ERR_SYSCALL', `cannot ${verb} ${path}: not the path of a Unix socket`, {
      syscall: doing,
      errno: 'ENAMETOOLONG',
      hint: `use a path of at most ${LONGEST_PATH} bytes`,
    });
  }
  const descriptor = checked(libc().socket(AF_UNIX, type, 0), 'socket', 'create a Unix socket');
  const address = new NativeBuffer(ADDRESS_BYTES);
  try {
    address.bytes.setUint16(0, AF_UNIX, true);
    name.forEach((byte, i) => address.bytes.setUint8(2 + i, byte));
    use(descriptor, address.address);
    return descriptor;
  } catch (error) {
    closeDescriptor(descriptor);
    throw error;
  } finally {
    address.dispose();
  }
}
