import { closeSync, readSync, writeSync } from 'node:fs';
import { FaultLog } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { ConvertibleMemory, UnixSocket } from '@virtio-platform/host';
import { simulateVfio, VFIO_CONTAINER, vfioOptionsSchema, type Type1Container } from '@virtio-platform/platform-vfio';
import { BackChannel } from '../../src/back-channel.ts';
import { Iotlb } from '../../src/iotlb/iotlb.ts';
import { watchCalls } from '../../src/memory/translated-memory.ts';
import { SharedPages } from '../../src/memory/shared-pages.ts';
import { VhostUserConnection } from '../../src/vhost-user-connection.ts';
export const MEMORY: number = 64 * 4096;
export const USER_ADDRESS = 0x1_0000_0000n;

/** One message as it was sent: of the front-end on the main channel. */
export interface Sent {
  readonly request: number;
  readonly flags: number;
  readonly payload: DataView;
}

/** Both ends of a conversation about translations, in one thread: the back-end's answers are written in advance. */
export class LyingBackEnd {
  readonly memory: GuestMemory;
  readonly faults = new FaultLog();
  readonly connection: VhostUserConnection;
  readonly iotlb: Iotlb;
  readonly channel: BackChannel;
  /** Watched, as the platform has it. */
  readonly container: Type1Container;
  readonly #backing: ConvertibleMemory;
  readonly #end: UnixSocket;
  readonly #channelEnd: number[] = [];

  constructor({ writeImpliesRead = false, replyTimeoutMs = 60, onReset = (): void => {} } = {}) {
    const [here, there] = UnixSocket.pair();
    this.#end = there;
    this.#backing = ConvertibleMemory.create(MEMORY);
    this.memory = new GuestMemory(this.#backing.buffer);
    const hardware = simulateVfio(this.memory, vfioOptionsSchema.parse({}));
    const translation = hardware.addressSpace(true);
    this.connection = new VhostUserConnection(here, { replyTimeoutMs, stderrTail: () => '' });
    this.iotlb = new Iotlb(this.connection, {
      memory: this.memory,
      translation: {
        ...translation,
        open: (...opening) => Object.assign(translation.open(...opening), { reset: onReset }),
      },
      faults: this.faults,
      pages: new SharedPages(this.#backing),
      userAddress: USER_ADDRESS,
      writeImpliesRead,
    });
    this.channel = BackChannel.open(this.connection, { timeoutMs: replyTimeoutMs, hasConfig: true });
    this.channel.translateWith(this.iotlb);
    const header = new Uint8Array(12);
    there.receiveDescriptors(header, this.#channelEnd, 1000);
    this.connection.acknowledgeCommands();
    // The token says which interface it is.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    this.container = watchCalls(hardware.facilities.get(VFIO_CONTAINER) as Type1Container, () => this.iotlb.refresh());
  }

  /** Answers a request of the front-end, before it is made. */
  answer(request: number, value: bigint): void {
    const bytes = new DataView(new ArrayBuffer(20));
    bytes.setUint32(0, request, true);
    bytes.setUint32(4, 5, true);
    bytes.setUint32(8, 8, true);
    bytes.setBigUint64(12, value, true);
    this.#end.send(new Uint8Array(bytes.buffer), [], 1000);
  }

  /** Says something on the back-channel; all of it can be wrong. */
  say({
    request = 1,
    flags = 1,
    size = 32,
    address = 0n,
    length = 0n,
    permission = 1,
    type = 1,
    bytes = 44,
  } = {}): void {
    const message = new DataView(new ArrayBuffer(44));
    message.setUint32(0, request, true);
    message.setUint32(4, flags, true);
    message.setUint32(8, size, true);
    message.setBigUint64(12, address, true);
    message.setBigUint64(20, length, true);
    message.setUint8(36, permission);
    message.setUint8(37, type);
    writeSync(this.#channelEnd[0]!, new Uint8Array(message.buffer, 0, bytes));
  }

  /** What the front-end answered on the back-channel. */
  heard(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    readSync(this.#channelEnd[0]!, bytes);
    return bytes;
  }

  /** Everything that the front-end sent since. */
  sent(): Sent[] {
    const messages: Sent[] = [];
    for (const header = new Uint8Array(12); this.#end.receive(header, 0) === 'done';) {
      const view = new DataView(header.slice().buffer);
      const payload = new Uint8Array(view.getUint32(8, true));
      if (payload.length > 0) this.#end.receive(payload, 1000);
      const [request, flags] = [view.getUint32(0, true), view.getUint32(4, true)];
      messages.push({ request, flags, payload: new DataView(payload.buffer) });
    }
    return messages;
  }

  /** The translations among them, as text. */
  translations(): string[] {
    return this.sent()
      .filter(({ request }) => request === 22)
      .map(({ flags, payload }) => {
        const iova = payload.getBigUint64(0, true).toString(16);
        const pages = Number(payload.getBigUint64(8, true)) / 4096;
        const at = (payload.getBigUint64(16, true) - USER_ADDRESS) / 4096n;
        const what = payload.getUint8(25) === 2 ? `page ${at} permission ${payload.getUint8(24)}` : 'forget';
        return `${iova}+${pages}: ${what}${(flags & 8) === 0 ? '' : ', and say so'}`;
      });
  }

  /** What is in the file that the back-end has. */
  file(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    readSync(this.#backing.descriptor, bytes, { position: offset });
    return bytes;
  }

  closeChannel(): void {
    for (const descriptor of this.#channelEnd.splice(0)) closeSync(descriptor);
  }

  dispose(): void {
    this.closeChannel();
    this.channel.dispose();
    this.connection.dispose();
    this.#end.dispose();
    this.#backing.dispose();
  }
}
