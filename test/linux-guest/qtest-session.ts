import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { StartedProgram, TemporaryFolder } from '@virtio-platform/host';

/** Of the connection, and of each reply. */
const TIMEOUT_MS = 20_000;

/**
 * A QEMU machine whose processor never starts, and whose registers are read from outside (QEMU's qtest protocol). None
 * of it is machine-qemu's: what is kept as data is what that package is held against.
 */
export class QtestSession {
  readonly #program: StartedProgram;
  readonly #socket: Socket;
  readonly #replies: AsyncIterator<string>;

  private constructor(program: StartedProgram, socket: Socket) {
    this.#program = program;
    this.#socket = socket;
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy());
    this.#replies = createInterface({ input: socket })[Symbol.asyncIterator]();
  }

  /** Starts QEMU, gives the session, and ends QEMU on every way out. */
  static async use<T>(command: readonly string[], use: (session: QtestSession) => Promise<T>): Promise<T> {
    const folder = new TemporaryFolder();
    const socketPath = folder.pathOf('qtest');
    const server = createServer().listen(socketPath);
    let program: StartedProgram | undefined;
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      const connected = once(server, 'connection', { signal }) as Promise<[Socket]>;
      program = await StartedProgram.start(
        [
          ...command,
          '-nodefaults',
          '-display',
          'none',
          '-S',
          '-qtest',
          `unix:${socketPath}`,
          '-qtest-log',
          '/dev/null',
        ],
        {
          role: 'emulator',
          hint: 'look at what it printed',
          folder: folder.pathOf('.'),
          errorFile: folder.pathOf('errors'),
          abandon: () => folder.dispose(),
        },
      );
      const [socket] = await connected.catch(() => {
        throw program!.startError('did not connect');
      });
      const session = new QtestSession(program, socket);
      try {
        return await use(session);
      } finally {
        socket.destroy();
      }
    } finally {
      server.close();
      await program?.end();
      folder.dispose();
    }
  }

  /** Sends one command and gives its reply without the `OK`. */
  async ask(command: string): Promise<string> {
    this.#socket.write(`${command}\n`);
    for (;;) {
      const { value, done } = await this.#replies.next().catch(() => ({ value: '', done: true }));
      if (done === true) throw new Error(`QEMU is gone after "${command}": ${this.#program.stderrTail()}`);
      if (value.startsWith('IRQ ')) continue;
      if (!value.startsWith('OK')) throw new Error(`QEMU answers "${command}" with "${value}"`);
      return value.slice(3);
    }
  }

  async readMemory(address: number, length: number): Promise<Buffer> {
    const reply = await this.ask(`read 0x${address.toString(16)} ${length}`);
    return Buffer.from(reply.slice(2), 'hex');
  }

  async writeMemory(address: number, bytes: Buffer): Promise<void> {
    await this.ask(`write 0x${address.toString(16)} ${bytes.length} 0x${bytes.toString('hex')}`);
  }
}
