import { Socket, type OnReadOpts } from 'node:net';
import { checked, closeDescriptor, libc } from './libc.ts';
import { openPipe } from './open-pipe.ts';

const O_CLOEXEC = 0x8_0000;

/** Who is told of what a {@link LoopReader} reads. */
export interface LoopListener {
  /** Bytes arrived, `length` of them at the start of `bytes`, which the next ones overwrite. */
  readonly received: (bytes: Uint8Array, length: number) => void;
  /** No more bytes can come: the other end is closed. Called at most once. */
  readonly ended: () => void;
}

/**
 * Reads a descriptor through the event loop of Node: no thread waits for it, and nothing runs until bytes arrive. Does
 * not keep the process alive. Works for every descriptor that poll(2) and read(2) work for, event counters included.
 */
export class LoopReader {
  readonly #socket: Socket;
  #isEnded = false;

  /**
   * Reads at most `most` bytes at once. The caller keeps and closes `descriptor`, which must not block. Throws
   * {@link HostError}.
   */
  constructor(descriptor: number, most: number, listener: LoopListener) {
    const { readEnd: own, writeEnd } = openPipe('create a pipe to watch a descriptor');
    closeDescriptor(writeEnd);
    const buffer = new Uint8Array(most);
    const end = (): void => {
      if (this.#isEnded) return;
      this.#isEnded = true;
      listener.ended();
    };
    const onread: OnReadOpts = {
      buffer,
      callback: (length) => {
        if (!this.#isEnded) listener.received(buffer, length);
        return true;
      },
    };
    try {
      const socket = new Socket(withOnread({ fd: own, readable: true, writable: false, onread }));
      this.#socket = socket;
      socket.on('end', end);
      socket.on('error', end);
      socket.unref();
    } catch (error) {
      closeDescriptor(own);
      throw error;
    }
    try {
      // Node takes a pipe, and no event counter. It asks the kernel to watch the number only when its loop runs next.
      checked(libc().dup3(descriptor, own, O_CLOEXEC), 'dup3', 'watch a descriptor');
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Nothing is read or told any more. */
  dispose(): void {
    this.#isEnded = true;
    this.#socket.destroy();
  }
}

/** The types of Node list `onread` only among the options of `connect`; its documentation has it here too. */
function withOnread<T extends { readonly onread: OnReadOpts }>(options: T): Omit<T, 'onread'> {
  return options;
}
