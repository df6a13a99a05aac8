import { checked, closeDescriptor, libc, NativeBuffer } from '../libc.ts';
import { openPipe } from '../open-pipe.ts';
import { ADDRESS_BYTES, AF_UNIX } from './unix-address.ts';

const SOCK_DGRAM_NONBLOCK_CLOEXEC = 0x8_0802;
/** Bytes of an address that is only a family: bind(2) then chooses a name. */
const FAMILY_BYTES = 2;
/** Offset of the address length behind the {@link ADDRESS_BYTES}, aligned. */
const LENGTH_AT = 112;

/**
 * A descriptor that returns what is written to it. Another program takes it for a network or a serial line, so its
 * device receives what it sends. The owner closes it; a program that inherited it keeps its own copy.
 */
export class Loopback {
  readonly #descriptors: number[];

  private constructor(...descriptors: number[]) {
    this.#descriptors = descriptors;
  }

  /**
   * For packets, whose boundaries stay: a Unix datagram socket that is connected to itself. Throws {@link HostError}.
   */
  static packets(): Loopback {
    const descriptor = checked(
      libc().socket(AF_UNIX, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0),
      'socket',
      'create a Unix datagram socket',
    );
    // The address, followed by its length.
    const name = new NativeBuffer(LENGTH_AT + 4);
    try {
      name.bytes.setUint16(0, AF_UNIX, true);
      checked(libc().bind(descriptor, name.address, FAMILY_BYTES), 'bind', 'name a Unix socket');
      name.bytes.setUint32(LENGTH_AT, ADDRESS_BYTES, true);
      checked(
        libc().getsockname(descriptor, name.address, name.address + BigInt(LENGTH_AT)),
        'getsockname',
        'ask for the name of a Unix socket',
      );
      const length = name.bytes.getUint32(LENGTH_AT, true);
      checked(libc().connect(descriptor, name.address, length), 'connect', 'connect a Unix socket to itself');
      return new Loopback(descriptor);
    } catch (error) {
      closeDescriptor(descriptor);
      throw error;
    } finally {
      name.dispose();
    }
  }

  /**
   * For a stream of bytes: a pipe, of which a program opens one end for both reading and writing. Throws {@link
   * HostError}.
   */
  static stream(): Loopback {
    const { readEnd, writeEnd } = openPipe('create a pipe', true);
    // Both ends stay open: a write to a pipe without a reader fails.
    return new Loopback(readEnd, writeEnd);
  }

  /** Throws `TypeError` after `dispose`. */
  get descriptor(): number {
    const [descriptor] = this.#descriptors;
    if (descriptor === undefined) throw new TypeError('this loopback was closed');
    return descriptor;
  }

  dispose(): void {
    for (const descriptor of this.#descriptors.splice(0)) closeDescriptor(descriptor);
  }
}
