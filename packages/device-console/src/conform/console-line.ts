import type { BenchSegment, ConformBench, ConformRing, Framing, StartOptions } from '@virtio-platform/core';
import type { Transport } from '@virtio-platform/core/device';
import { controlMessage } from '../control-message.ts';
import { VIRTIO_CONSOLE_F_MULTIPORT } from '../console-features.ts';
import {
  CONSOLE_CONTROL_RECEIVE,
  CONSOLE_CONTROL_SIZE,
  CONSOLE_CONTROL_TRANSMIT,
  consoleReceiveQueue,
} from '../layout.ts';

/** How a case starts a console. */
export interface LineOptions extends Pick<StartOptions, 'with' | 'size'> {
  /** Whether MULTIPORT is accepted; then the queues of two ports are enabled. */
  readonly isMultiport?: boolean;
  /** Receive buffers of port 0 to begin with, of 256 bytes. Default: 8. */
  readonly buffers?: number;
}

/** A control message of the device. */
export interface HeardMessage {
  readonly port: number;
  readonly event: number;
  readonly value: number;
  readonly behind: Uint8Array;
}

/** Bytes of a receive buffer, of data and of control messages. */
export const LINE_BYTES = 256;
const CONTROL_BUFFERS = 8;
/** Looks at a queue after which nothing comes any more. */
const LOOKS = 60;
/** Looks without anything, after which nothing is left of before; and looks in all. */
const QUIET = 3;
const MOST_LOOKS = 2000;

/** The consoles that give back what they are sent. */
const LOOPED = new WeakSet<Transport>();

/** The ports of a console as a case drives them: bytes both ways, and control messages. */
export class ConsoleLine {
  readonly bench: ConformBench;
  readonly #buffers = new Map<ConformRing, Map<number, readonly BenchSegment[]>>();

  private constructor(bench: ConformBench) {
    this.bench = bench;
  }

  /** Starts the device. */
  static async start(bench: ConformBench, options: LineOptions = {}): Promise<ConsoleLine> {
    const { isMultiport = false, buffers = 8, ...rest } = options;
    await bench.start({ ...rest, isUnattended: true });
    const features = isMultiport ? bench.accepted : bench.accepted.without(VIRTIO_CONSOLE_F_MULTIPORT);
    const second = consoleReceiveQueue(1);
    const more = bench.device.maxQueueSize(second) > 0 ? [second, second + 1] : [];
    const queues = isMultiport ? [0, 1, CONSOLE_CONTROL_RECEIVE, CONSOLE_CONTROL_TRANSMIT, ...more] : [0, 1];
    await bench.start({ ...rest, features, queues, isUnattended: true });
    if (LOOPED.has(bench.transport)) {
      // What a host still has from before comes now.
      await new ConsoleLine(bench).#clear();
      await bench.start({ ...rest, features, queues, isUnattended: true });
    }
    const line = new ConsoleLine(bench);
    for (let i = 0; i < buffers; i++) line.supply([LINE_BYTES]);
    const messages = isMultiport ? CONTROL_BUFFERS : 0;
    for (let i = 0; i < messages; i++) line.supply([LINE_BYTES], CONSOLE_CONTROL_RECEIVE);
    return line;
  }

  /** Looks whether what is sent comes back, once for each boot. */
  static async findLoop(bench: ConformBench): Promise<void> {
    const line = await ConsoleLine.start(bench);
    line.give(Uint8Array.of(0x2e, 0x2e, 0x2e));
    for (let i = 0; i < LOOKS; i++) {
      if (bench.ring(0).take() !== undefined) LOOPED.add(bench.transport);
      if (LOOPED.has(bench.transport)) return;
      await bench.settle();
    }
  }

  /** Skips a case that sees its bytes again where none come back. */
  static needLoop(bench: ConformBench): void {
    if (!LOOPED.has(bench.transport)) bench.skip('what is sent does not come back');
  }

  /** Adds a buffer of segments of these lengths to a queue on which the device says something. */
  supply(lengths: readonly number[], queue = 0): void {
    const segments = lengths.map((length, i): BenchSegment => ({
      buffer: this.bench.allocate(`a buffer of queue ${queue} (${i + 1})`, length, 64),
      isWritable: true,
    }));
    this.#give(queue, segments);
  }

  /** Makes bytes available to the device, and notifies. */
  give(bytes: Uint8Array, queue = 1): void {
    const buffer = this.bench.allocate('what is sent', bytes.length);
    buffer.write(bytes);
    this.bench.ring(queue).give([{ buffer }]);
  }

  /** Sends bytes, and waits until their buffer comes back. */
  async send(bytes: Uint8Array, framing: Framing = {}, queue = 1): Promise<void> {
    const request = { queue, readable: bytes, writable: 0, check: () => undefined };
    await this.bench.serve(this.bench.layOutRequest(request, framing), framing);
  }

  /** Waits for the next buffer, and returns what is in it. */
  async receive(queue = 0): Promise<Uint8Array> {
    return this.#take(queue, await this.bench.ring(queue).takeNext());
  }

  /** Waits for these bytes, in however many buffers they come; gives each buffer again. */
  async expect(bytes: Uint8Array, queue = 0): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const came = await this.receive(queue);
      this.bench.check(came.length > 0, 'a receive buffer came back without a byte');
      this.bench.check(at + came.length <= bytes.length, 'more came than was sent');
      const wrong = came.findIndex((byte, i) => byte !== bytes[at + i]);
      this.bench.check(wrong < 0, `byte ${at + wrong} is ${came[wrong]}, and has to be ${bytes[at + wrong]}`);
      at += came.length;
      this.supply([LINE_BYTES], queue);
    }
  }

  /** Sends a control message. */
  async say(port: number, event: number, value: number): Promise<void> {
    await this.send(controlMessage(true, port, event, value), {}, CONSOLE_CONTROL_TRANSMIT);
  }

  /** The control messages that come until nothing comes any more. */
  async hear(): Promise<readonly HeardMessage[]> {
    const heard: HeardMessage[] = [];
    for (let quiet = 0; quiet < 4;) {
      const used = this.bench.ring(CONSOLE_CONTROL_RECEIVE).take();
      if (used === undefined) {
        quiet++;
        await this.bench.settle();
        continue;
      }
      quiet = 0;
      const bytes = this.#take(CONSOLE_CONTROL_RECEIVE, used);
      this.supply([LINE_BYTES], CONSOLE_CONTROL_RECEIVE);
      this.bench.check(bytes.length >= CONSOLE_CONTROL_SIZE, `a control message has ${bytes.length} bytes`);
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      const [port, event, value] = [view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true)];
      heard.push({ port, event, value, behind: bytes.subarray(CONSOLE_CONTROL_SIZE) });
    }
    return heard;
  }

  /** Takes what comes on port 0 until nothing comes any more. */
  async #clear(): Promise<void> {
    for (let i = 0; i < 4; i++) this.supply([LINE_BYTES]);
    for (let quiet = 0, looks = 0; quiet < QUIET && looks < MOST_LOOKS; looks++) {
      await this.bench.settle();
      quiet = this.bench.ring(0).take() === undefined ? quiet + 1 : 0;
      if (quiet === 0) this.supply([LINE_BYTES]);
    }
  }

  #give(queue: number, segments: readonly BenchSegment[]): void {
    const ring = this.bench.ring(queue);
    const buffers = this.#buffers.get(ring) ?? new Map<number, readonly BenchSegment[]>();
    this.#buffers.set(ring, buffers);
    buffers.set(ring.give(segments), segments);
  }

  #take(queue: number, { id, length }: { readonly id: number; readonly length: number }): Uint8Array {
    const segments = this.#buffers.get(this.bench.ring(queue))?.get(id);
    if (segments === undefined) return this.bench.fail(`queue ${queue} returned buffer ${id}, which it did not have`);
    this.#buffers.get(this.bench.ring(queue))!.delete(id);
    const whole = Buffer.concat(segments.map(({ buffer }) => buffer.read()));
    this.bench.check(length <= whole.length, `the used length is ${length}, of ${whole.length} bytes`);
    return new Uint8Array(whole.subarray(0, length));
  }
}
