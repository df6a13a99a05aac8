import type {
  BenchSegment,
  ConformBench,
  ConformRing,
  Framing,
  LaidOutRequest,
  ReturnedBuffer,
  StartOptions,
} from '@virtio-platform/core';
import type { Transport } from '@virtio-platform/core/device';
import { featureDependencies, meetsDependency, type FeatureSet } from '@virtio-platform/core/features';
import { readNetConfig, type NetConfig } from '../net-config.ts';
import { NET_COMMAND_SIZE, NET_HASH_HEADER_SIZE, VIRTIO_NET_HDR_F_NEEDS_CSUM } from '../layout.ts';
import { VIRTIO_NET_F_MRG_RXBUF } from '../net-features.ts';
import { completeChecksum } from '../offload/checksum.ts';
import { NetHeader, netHeaderSize, NO_OFFLOAD, type Offload } from '../offload/net-header.ts';
import type { NetCommand } from '../control/net-command.ts';
import { frameOf, type FrameOptions } from './net-frame.ts';

/** How a case starts a network device. */
export interface PortOptions extends Pick<StartOptions, 'with' | 'size'> {
  /** Features that are not accepted, nor those that require them. */
  readonly without?: readonly number[];
  /** Pairs of queues to enable, of those that the device says. Default: 1. */
  readonly pairs?: number;
  /** Receive buffers of the first pair to begin with: how many, of {@link RECEIVE_BYTES}. Default: 8. */
  readonly buffers?: number;
}

/** A packet that was received, out of one or more buffers. */
export interface ReceivedPacket {
  readonly header: NetHeader;
  readonly frame: Uint8Array;
  /** The used lengths, in the order of the buffers. */
  readonly lengths: readonly number[];
  /** The bytes of each buffer. */
  readonly rooms: readonly number[];
}

/** Bytes of a receive buffer that takes every frame of the wire. */
export const RECEIVE_BYTES = 1536;
/** Looks at the receive queue, after which the bench takes it that the back-end does not send frames back. */
const LOOKS = 60;

/** Bytes of data of the frame with which that is found. */
const LOOP_DATA = 150;

/** The devices whose frames come back: those of a network without another end that answers do not. */
const LOOPED = new WeakSet<Transport>();

/** A receive buffer that the device has. */
interface Supplied {
  readonly segments: readonly BenchSegment[];
  readonly bytes: number;
}

/**
 * The queues of a network device as a case drives them: frames with their headers, receive buffers of any framing, and
 * commands. What comes back is checked for what has to be so of every packet.
 */
export class NetPort {
  readonly bench: ConformBench;
  readonly config: NetConfig;
  /** Bytes in front of a frame. */
  readonly header: number;
  readonly isMerged: boolean;
  readonly #supplied = new Map<ConformRing, Map<number, Supplied>>();

  private constructor(bench: ConformBench, config: NetConfig) {
    this.bench = bench;
    this.config = config;
    this.header = netHeaderSize(bench.accepted);
    this.isMerged = bench.accepted.has(VIRTIO_NET_F_MRG_RXBUF);
  }

  /** Starts the device. */
  static async start(bench: ConformBench, options: PortOptions = {}): Promise<NetPort> {
    const { without = [], pairs = 1, buffers = 8, ...rest } = options;
    await bench.start({ ...rest, isUnattended: true });
    const features = closedWithout(bench, bench.accepted, without);
    if (without.length > 0) await bench.start({ ...rest, features, isUnattended: true });
    const config = configOf(bench);
    const queues = Array.from({ length: 2 * Math.min(pairs, config.queuePairs) }, (_, i) => i ^ 1);
    if (config.controlQueue >= 0) queues.push(config.controlQueue);
    await bench.start({ ...rest, features, queues, isUnattended: true });
    const port = new NetPort(bench, config);
    for (let i = 0; i < buffers; i++) port.supply([RECEIVE_BYTES]);
    return port;
  }

  /** Resets the device and starts it again. */
  async again(options: PortOptions = {}): Promise<NetPort> {
    return await NetPort.start(this.bench, options);
  }

  /** Looks whether the device is of a network that gives frames back, once for each boot. */
  static async findLoop(bench: ConformBench): Promise<void> {
    const port = await NetPort.start(bench);
    port.give(port.frame({ data: LOOP_DATA }));
    for (let i = 0; i < LOOKS; i++) {
      if (port.receiver().take() !== undefined) LOOPED.add(bench.transport);
      if (LOOPED.has(bench.transport)) return;
      await bench.settle();
    }
  }

  /** Skips a case that sees its frames again where the network gives none back. */
  static needLoop(bench: ConformBench): void {
    if (!LOOPED.has(bench.transport)) bench.skip('frames that are sent do not come back');
  }

  transmitter(pair = 0): ConformRing {
    return this.bench.ring(2 * pair + 1);
  }

  receiver(pair = 0): ConformRing {
    return this.bench.ring(2 * pair);
  }

  get control(): ConformRing {
    if (this.config.controlQueue < 0) this.bench.skip('the device has no control queue');
    return this.bench.ring(this.config.controlQueue);
  }

  /** A frame to the device's own address, which every filter lets pass. */
  frame(options: FrameOptions = {}): Uint8Array {
    return frameOf(this.own(options));
  }

  /** Options of a frame to the device's own address. */
  own(options: FrameOptions = {}): FrameOptions {
    return this.config.mac === undefined ? options : { to: this.config.mac, ...options };
  }

  /** Lays out a frame behind its header. */
  layOut(frame: Uint8Array, offload: Offload = NO_OFFLOAD, framing: Framing = {}, pair = 0): LaidOutRequest {
    const readable = new Uint8Array(this.header + frame.length);
    const header = new NetHeader();
    header.assign(offload);
    header.write(new DataView(readable.buffer), this.header, true);
    readable.set(frame, this.header);
    const request = { queue: 2 * pair + 1, readable, writable: 0, check: () => undefined };
    return this.bench.layOutRequest(request, framing);
  }

  /** Makes a frame available and notifies; returns the id of its buffer. */
  give(frame: Uint8Array, offload: Offload = NO_OFFLOAD, pair = 0): number {
    return this.transmitter(pair).give(this.layOut(frame, offload, {}, pair).segments);
  }

  /** Sends a frame, and waits until its buffer comes back. */
  async send(frame: Uint8Array, offload: Offload = NO_OFFLOAD, framing: Framing = {}, pair = 0): Promise<void> {
    await this.bench.serve(this.layOut(frame, offload, framing, pair), framing);
  }

  /** Adds a receive buffer of segments of these lengths, and notifies. */
  supply(lengths: readonly number[], pair = 0, indirect = false): void {
    const segments = lengths.map((length, i): BenchSegment => ({
      buffer: this.bench.allocate(`a receive buffer (${i + 1})`, length, 64),
      isWritable: true,
    }));
    this.supplySegments(segments, pair, indirect);
  }

  /** Adds a receive buffer of any segments, and notifies. */
  supplySegments(segments: readonly BenchSegment[], pair = 0, indirect = false): void {
    const ring = this.receiver(pair);
    const bytes = segments.reduce((sum, { buffer }) => sum + buffer.length, 0);
    const supplied = this.#supplied.get(ring) ?? new Map<number, Supplied>();
    this.#supplied.set(ring, supplied);
    supplied.set(ring.give(segments, { indirect }), { segments, bytes });
  }

  /** Waits for a packet, takes all of its buffers, and checks what has to be so of each packet. */
  async receive(pair = 0): Promise<ReceivedPacket> {
    const bench: ConformBench = this.bench;
    const ring = this.receiver(pair);
    const first = this.#take(ring, await ring.takeNext());
    const least = `the used length of a packet, of which the header has ${this.header} bytes,`;
    bench.check(first.bytes.length >= this.header, `${least} is ${first.bytes.length}`);
    const header = new NetHeader();
    const padded = new Uint8Array(NET_HASH_HEADER_SIZE);
    padded.set(first.bytes.subarray(0, this.header));
    header.read(new DataView(padded.buffer), this.header, true);
    // Without MRG_RXBUF there is one, whatever a device says: one case looks at that.
    const buffers = this.isMerged ? header.buffers : 1;
    bench.check(buffers >= 1, `num_buffers is ${buffers}`);
    const parts = [first];
    while (parts.length < buffers) {
      // They have to be seen together with the first (5.1.6.4.1).
      const next = ring.take();
      if (next === undefined) bench.fail(`${parts.length} of ${buffers} buffers of a packet are used`);
      parts.push(this.#take(ring, next));
    }
    for (const { bytes, room } of parts.slice(0, -1))
      bench.equal('the used length of a buffer that is not the last of its packet', bytes.length, room);
    const whole = Buffer.concat(parts.map(({ bytes }) => bytes));
    bench.check(whole.length > this.header, `${least} is ${whole.length}`);
    return {
      header,
      frame: whole.subarray(this.header),
      lengths: parts.map(({ bytes }) => bytes.length),
      rooms: parts.map(({ room }) => room),
    };
  }

  /** Waits for a packet, which has to be this frame; a checksum that is left to the driver is put in. */
  async expect(frame: Uint8Array, pair = 0): Promise<ReceivedPacket> {
    const packet = await this.receive(pair);
    this.sameBytes(this.finished(packet), frame);
    return packet;
  }

  /** Sends a frame and waits until it comes back. */
  async exchange(frame: Uint8Array, framing: Framing = {}): Promise<ReceivedPacket> {
    await this.send(frame, NO_OFFLOAD, framing);
    return await this.expect(frame);
  }

  /** Fails the case where two frames differ. */
  sameBytes(seen: Uint8Array, right: Uint8Array): void {
    this.bench.equal('the length of the frame', seen.length, right.length);
    const at = right.findIndex((byte, i) => seen[i] !== byte);
    this.bench.check(at < 0, `byte ${at} of the frame is ${seen[at]}, and has to be ${right[at]}`);
  }

  /** The frame with its checksum put in, where that is left to the driver. */
  finished({ header, frame }: ReceivedPacket): Uint8Array {
    if ((header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) === 0) return frame;
    const { checksumStart, checksumOffset } = header;
    const isInside = checksumStart + checksumOffset + 2 <= frame.length;
    this.bench.check(
      isInside,
      `csum_start ${checksumStart} and csum_offset ${checksumOffset} are outside of the frame`,
    );
    const bytes = frame.slice();
    completeChecksum(bytes, bytes.length, checksumStart, checksumOffset);
    return bytes;
  }

  /** Sends a command and waits for its acknowledgement. */
  async command(command: NetCommand, framing: Framing = {}): Promise<number> {
    const laid = this.layOutCommand(command, 1, framing);
    await this.bench.serve(laid, framing);
    return laid.segments.at(-1)!.buffer.read(0, 1)[0]!;
  }

  /** Sends a command that the device has to do. */
  async order(command: NetCommand): Promise<void> {
    this.bench.equal(`the acknowledgement of ${command.class}.${command.command}`, await this.command(command), 0);
  }

  /** Sends a command that the device must not do. */
  async refused(command: NetCommand): Promise<void> {
    const ack = await this.command(command);
    this.bench.check(ack !== 0, `the acknowledgement of ${command.class}.${command.command} is OK`);
  }

  /** Lays out a command with so many bytes for the device to write. */
  layOutCommand({ class: ofClass, command, data }: NetCommand, writable: number, framing?: Framing): LaidOutRequest {
    const readable = new Uint8Array(NET_COMMAND_SIZE + data.length);
    readable.set([ofClass, command]);
    readable.set(data, NET_COMMAND_SIZE);
    const { index } = this.control;
    return this.bench.layOutRequest({ queue: index, readable, writable, check: () => undefined }, framing);
  }

  #take(ring: ConformRing, { id, length }: ReturnedBuffer): { readonly bytes: Uint8Array; readonly room: number } {
    const supplied = this.#supplied.get(ring)?.get(id);
    if (supplied === undefined) this.bench.fail(`queue ${ring.index} returned buffer ${id}, which it did not have`);
    this.#supplied.get(ring)!.delete(id);
    const { segments, bytes: room } = supplied;
    this.bench.check(length <= room, `the used length is ${length}, of a receive buffer of ${room} bytes`);
    const whole = Buffer.concat(segments.map(({ buffer }) => buffer.read()));
    return { bytes: whole.subarray(0, length), room };
  }
}

/** The configuration that the features of a bench give. */
export function configOf({ transport, accepted }: ConformBench): NetConfig {
  return readNetConfig({ transport, accepted, byteOrder: 'little' });
}

/** Features without some, and without those that require them. */
function closedWithout(bench: ConformBench, features: FeatureSet, without: readonly number[]): FeatureSet {
  const dependencies = featureDependencies(bench.featureTable);
  let kept = without.reduce((set, bit) => set.without(bit), features);
  for (let before = -1n; before !== kept.bits;) {
    before = kept.bits;
    for (const dependency of dependencies)
      if (!meetsDependency(kept, dependency)) kept = kept.without(dependency.feature);
  }
  return kept;
}
