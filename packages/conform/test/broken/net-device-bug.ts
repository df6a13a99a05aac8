import type { DeviceModel, DeviceQueues } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { FeatureSet } from '@virtio-platform/core/features';
import { DescriptorChain } from '@virtio-platform/core/queue';
import { readChain, writeChain } from '@virtio-platform/device-kit';
import { NetHeader, netHeaderSize, PacketLayers } from '@virtio-platform/device-net';
import type { BrokenDevice, Bug } from './broken-device.ts';
import type { FoundBug } from './simple-bugs.ts';

export type { FoundBug };

/** Bits of features, by number. */
export const NET_BITS = { mac: 5, csum: 0, guestCsum: 1, mrgRxbuf: 15, mq: 22, vlan: 19, hash: 57, rss: 60 } as const;

/** What a broken network device knows of the buffer that it handles. */
abstract class Handled {
  readonly device: BrokenDevice;
  readonly queue: number;
  readonly chain: DescriptorChain;
  readonly space: DeviceAddressSpace;
  readonly accepted: FeatureSet;
  readonly header: number;
  readonly #model: DeviceModel;
  readonly #queues: DeviceQueues;

  constructor(
    model: DeviceModel,
    device: BrokenDevice,
    queue: number,
    chain: DescriptorChain,
    space: DeviceAddressSpace,
    queues: DeviceQueues,
  ) {
    this.#model = model;
    this.device = device;
    this.queue = queue;
    this.chain = chain;
    this.space = space;
    this.#queues = queues;
    this.accepted = device.accepted ?? FeatureSet.EMPTY;
    this.header = netHeaderSize(this.accepted);
  }

  /** Lengths of the readable, or of the writable descriptors. */
  lengths(part: 'readable' | 'writable'): number[] {
    const { chain } = this;
    const all = Array.from(chain.length.subarray(0, chain.count));
    return part === 'readable' ? all.slice(0, chain.readable) : all.slice(chain.readable);
  }

  /** Lets the shipped device half handle the buffer. */
  readonly handle = (): number => this.#model.process(this.queue, this.chain, this.space, this.#queues);

  /** Lets the shipped device half handle it with other readable bytes, which are put back. */
  as(bytes: Uint8Array): number {
    return this.#handleFake(this.queue, bytes, this.chain.writableBytes > 0 ? this.chain : undefined);
  }

  /** Has the shipped device half do a command that the driver did not give. */
  order(ofClass: number, command: number, data: readonly number[]): void {
    this.#handleFake(this.controlQueue, Uint8Array.of(ofClass, command, ...data), undefined);
  }

  get controlQueue(): number {
    const hasPairs = this.accepted.has(NET_BITS.mq) || this.accepted.has(NET_BITS.rss);
    return hasPairs ? this.#model.queueSizes.length - 1 : 2;
  }

  /** Handles bytes that lie in memory that was never given to the device, and are gone afterwards. */
  #handleFake(queue: number, bytes: Uint8Array, answer: DescriptorChain | undefined): number {
    const { u8, untouched } = this.space.memory;
    const { address, length } = untouched.at(-1)!;
    const at = address + length - 0x4_0000;
    const before = u8.slice(at, at + bytes.length + 1);
    u8.set(bytes, at);
    const fake = new DescriptorChain(1024);
    fake.clear(this.chain.head);
    fake.append(at, 0, bytes.length, false, 1024);
    if (answer === undefined && queue === this.controlQueue) fake.append(at + bytes.length, 0, 1, true, 1024);
    const writable = answer?.count ?? 0;
    for (let i = answer?.readable ?? 0; i < writable; i++)
      fake.append(answer!.low[i]!, answer!.high[i]!, answer!.length[i]!, true, 1024);
    const written = this.#model.process(queue, fake, this.space, this.#queues);
    u8.set(before, at);
    return written;
  }
}

/** A frame that the driver sends. */
export class SentFrame extends Handled {
  readonly bytes: Uint8Array = new Uint8Array(Math.min(this.chain.readableBytes, 0x2_0000));
  readonly fields: NetHeader = new NetHeader();
  readonly frame: Uint8Array;
  readonly layers: PacketLayers = new PacketLayers();
  readonly pair: number = this.queue >> 1;

  constructor(...values: ConstructorParameters<typeof Handled>) {
    super(...values);
    readChain(this.chain, this.space, 0, this.bytes, 0, this.bytes.length);
    const padded = new Uint8Array(20);
    padded.set(this.bytes.subarray(0, Math.min(this.header, this.bytes.length)));
    this.fields.read(new DataView(padded.buffer), this.header, true);
    this.frame = this.bytes.subarray(Math.min(this.header, this.bytes.length));
    this.layers.read(this.frame, this.frame.length);
  }

  /** Loses the frame. */
  drop(): number {
    return 0;
  }

  /** Handles the frame with other fields in its header. */
  withFields(change: (fields: NetHeader) => void): number {
    const bytes = this.bytes.slice();
    const fields = new NetHeader();
    fields.assign(this.fields);
    change(fields);
    fields.write(new DataView(bytes.buffer), this.header, true);
    return this.as(bytes);
  }
}

/** A receive buffer, which the shipped device half has handled already. */
export class ReceivedBuffer extends Handled {
  /** What it returned: bytes, or -1 for a buffer that it keeps. */
  readonly written: number = this.handle();

  /** The bytes of the buffer. */
  get bytes(): Uint8Array {
    const bytes = new Uint8Array(this.chain.writableBytes);
    let at = 0;
    for (let i = this.chain.readable; i < this.chain.count; i++) {
      const low = this.chain.low[i]!;
      bytes.set(this.space.memory.u8.subarray(low, low + this.chain.length[i]!), at);
      at += this.chain.length[i]!;
    }
    return bytes;
  }

  get fields(): NetHeader {
    const fields = new NetHeader();
    const padded = new Uint8Array(20);
    padded.set(this.bytes.subarray(0, Math.min(20, this.header, this.chain.writableBytes)));
    fields.read(new DataView(padded.buffer), this.header, true);
    return fields;
  }

  /** Writes bytes from one on. Returns what the device half returned. */
  write(at: number, bytes: Uint8Array): number {
    writeChain(this.chain, this.space, at, bytes, 0, bytes.length);
    return this.written;
  }

  /** Changes the last byte that was written. */
  corrupt(): number {
    const last = this.written > 0 ? this.written - 1 : this.chain.writableBytes - 1;
    return this.write(last, Uint8Array.of(this.bytes[last]! ^ 0x55));
  }

  /** Changes fields of the header. */
  withFields(change: (fields: NetHeader) => void): number {
    const { fields } = this;
    change(fields);
    const bytes = new Uint8Array(this.header);
    fields.write(new DataView(bytes.buffer), this.header, true);
    return this.write(0, bytes);
  }
}

/** A command of the control queue. */
export class SentCommand extends Handled {
  readonly bytes: Uint8Array = new Uint8Array(Math.min(this.chain.readableBytes, 0x2_0000));
  readonly class: number;
  readonly command: number;
  readonly data: Uint8Array;

  constructor(...values: ConstructorParameters<typeof Handled>) {
    super(...values);
    readChain(this.chain, this.space, 0, this.bytes, 0, this.bytes.length);
    this.class = this.bytes[0] ?? -1;
    this.command = this.bytes[1] ?? -1;
    this.data = this.bytes.subarray(2);
  }

  /** Whether it is a command of a class. */
  is(ofClass: number, command?: number): boolean {
    return this.class === ofClass && (command === undefined || this.command === command);
  }

  /** Answers without doing anything. */
  answer(ack: number): number {
    if (this.chain.writableBytes > 0) writeChain(this.chain, this.space, 0, Uint8Array.of(ack), 0, 1);
    return Math.min(1, this.chain.writableBytes);
  }
}

type Handler<T> = (handled: T) => number;

function bug<T extends Handled>(
  name: string,
  isOf: (handled: Handled) => boolean,
  make: (...values: ConstructorParameters<typeof Handled>) => T,
  handler: Handler<T>,
): Bug {
  return {
    name,
    model: (model, device) => {
      const process: DeviceModel['process'] = (queue, chain, space, queues) => {
        const probe = new Probe(model, device, queue, chain, space, queues);
        if (!isOf(probe)) return probe.handle();
        return handler(make(model, device, queue, chain, space, queues));
      };
      return { process };
    },
  };
}

class Probe extends Handled {}

/** Whether a buffer is of a transmit queue. */
const isTransmit = ({ queue, controlQueue }: Handled): boolean => queue % 2 === 1 && queue !== controlQueue;
const isReceive = ({ queue, controlQueue }: Handled): boolean => queue % 2 === 0 && queue !== controlQueue;
const isControl = ({ queue, controlQueue }: Handled): boolean => queue === controlQueue;

/** A bug in what the device does with frames of the driver. */
export function sending(name: string, cases: readonly string[], handler: Handler<SentFrame>): FoundBug {
  return [bug(name, isTransmit, (...values) => new SentFrame(...values), handler), cases];
}

/** A bug that loses some frames. */
export function losing(name: string, cases: readonly string[], isLost: (frame: SentFrame) => boolean): FoundBug {
  return sending(name, cases, (frame) => (isLost(frame) ? frame.drop() : frame.handle()));
}

/** A bug in receive buffers. */
export function receiving(name: string, cases: readonly string[], handler: Handler<ReceivedBuffer>): FoundBug {
  return [bug(name, isReceive, (...values) => new ReceivedBuffer(...values), handler), cases];
}

/** A bug that changes the last byte of some receive buffers. */
export function corrupting(
  name: string,
  cases: readonly string[],
  isWrong: (buffer: ReceivedBuffer) => boolean,
): FoundBug {
  return receiving(name, cases, (buffer) => (isWrong(buffer) ? buffer.corrupt() : buffer.written));
}

/** A bug in commands. */
export function commanding(name: string, cases: readonly string[], handler: Handler<SentCommand>): FoundBug {
  return [bug(name, isControl, (...values) => new SentCommand(...values), handler), cases];
}

/** A bug that answers some commands without doing them. */
export function answering(
  name: string,
  cases: readonly string[],
  ack: number,
  isSo: (command: SentCommand) => boolean,
): FoundBug {
  return commanding(name, cases, (command) => (isSo(command) ? command.answer(ack) : command.handle()));
}
