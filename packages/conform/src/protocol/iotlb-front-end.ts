import { closeDescriptor, UnixSocket } from '@virtio-platform/host';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import type { ConformRing } from '@virtio-platform/core';
import { CaseEnd } from '../bench/case-end.ts';
import { USER_BASE } from './front-end-memory.ts';
import { payloadOf } from './payload.ts';
import type { ProtocolBench, QueueSetUp } from './protocol-bench.ts';
import { IS_REPLY, NEEDS_REPLY, VERSION } from './requests.ts';

/** Bit of the permissions of an entry: the device reads. */
export const READ = 1;
/** Bit of the permissions of an entry: the device writes. */
export const WRITE = 2;
/** Both of them. */
export const READ_WRITE = 3;

/** Types of an IOTLB message. */
export const IOTLB_TYPES = { MISS: 1, UPDATE: 2, INVALIDATE: 3, ACCESS_FAILED: 4 } as const;

/** A run of I/O virtual addresses, and the user addresses that it stands for. */
export interface IotlbEntry {
  readonly iova: bigint;
  readonly size: bigint;
  readonly user: bigint;
  readonly permission: number;
}

/** What a back-end asked, or said that it could not do. */
export interface IotlbMiss {
  readonly type: number;
  readonly iova: bigint;
  readonly permission: number;
}

/** The I/O virtual address of guest address 0: neither guest nor user addresses are near. */
export const IOVA_BASE = 0x12_3400_0000n;

const HEADER_BYTES = 12;
const PAYLOAD_BYTES = 32;
/** What a back-end asks of its front-end ("Back-end message types"): something about the IOTLB. */
const BACK_END_IOTLB = 1;
const FLAGS_WITHOUT_NEED = ~NEEDS_REPLY >>> 0;
/** Messages that are answered at once, and those that are kept: a back-end may flood its front-end. */
const MOST_AT_ONCE = 256;
const MOST_KEPT = 20_000;
/** How long a back-end may take over the rest of a message. */
const REST_MS = 200;

/** The payload of IOTLB_MSG. */
export function iotlbPayload(type: number, { iova, size, user, permission }: IotlbEntry): Uint8Array {
  return payloadOf(iova, size, user, BigInt(permission | (type << 8)));
}

/**
 * A front-end with ACCESS_PLATFORM: it has the back channel, and says what I/O virtual addresses are where the back-end
 * asks. All of its memory is one entry at {@link IOVA_BASE}, unless a case maps something else.
 */
export class IotlbFrontEnd implements Disposable {
  readonly base: bigint = IOVA_BASE;
  /** What the back-end asked, in its order. */
  readonly misses: IotlbMiss[] = [];
  /** Bytes of the entry that an answer has, at most: the back-end asks again for what is behind it. */
  pageSize: bigint | undefined;
  /** Whether entries have the permissions that were asked for, and no others. */
  isExact = false;
  /** Whether misses are answered. */
  isAnswering = true;
  readonly #bench: ProtocolBench;
  #entries: IotlbEntry[];
  #here: UnixSocket | undefined;

  constructor(bench: ProtocolBench) {
    this.#bench = bench;
    const size = BigInt(bench.memory.size);
    this.#entries = [{ iova: IOVA_BASE, size, user: USER_BASE, permission: READ_WRITE }];
  }

  get descriptor(): number {
    if (this.#here === undefined) throw new TypeError('there is no back channel');
    return this.#here.descriptor;
  }

  /** Negotiates, and gives the back-end its end of the channel. */
  open(): void {
    this.greet();
    this.giveChannel();
  }

  /** Opens the conversation with ACCESS_PLATFORM. */
  greet(): void {
    this.#bench.greet({ accept: ['MQ', 'REPLY_ACK', 'CONFIG', 'BACKEND_REQ'], with: [VIRTIO_F_ACCESS_PLATFORM] });
  }

  /** Makes a channel, in the place of the one before, and gives the back-end its end. */
  giveChannel(): void {
    const [here, there] = UnixSocket.pair();
    const before = this.#here;
    this.#here = here;
    try {
      there.waitInPeer();
      this.#bench.translate(this);
      this.#bench.tell('SET_BACKEND_REQ_FD', undefined, [there.descriptor]);
    } finally {
      there.dispose();
      before?.dispose();
    }
  }

  /** Negotiates, shares memory, and starts the queues. Returns the ring of requests. */
  start(options: QueueSetUp = {}): ConformRing {
    this.open();
    this.#bench.share();
    return this.#bench.startQueues(options);
  }

  /** From here on these addresses are this. The back-end is not told. */
  map(entry: IotlbEntry): void {
    this.#entries = [entry, ...this.#entries];
  }

  /** From here on these addresses are nothing. The back-end is not told. */
  unmap(iova: bigint, size: bigint): void {
    this.#entries = this.#entries.flatMap((entry) => without(entry, iova, iova + size));
  }

  /** Tells the back-end what addresses are. */
  update(entry: IotlbEntry): void {
    this.#bench.tell('IOTLB_MSG', iotlbPayload(IOTLB_TYPES.UPDATE, entry));
  }

  /** Tells the back-end that addresses are not what they were; the acknowledgement says that it knows. */
  invalidate(iova: bigint, size: bigint): void {
    this.#bench.tell('IOTLB_MSG', iotlbPayload(IOTLB_TYPES.INVALIDATE, { iova, size, user: 0n, permission: 0 }));
    if (!this.#bench.acknowledges) this.#bench.synchronise();
  }

  /** Whether the back-end asked for a byte, with all of these permissions. */
  hasAsked(from: bigint, to: bigint, permission = 0): boolean {
    return this.misses.some(
      (miss) => miss.iova >= from && miss.iova < to && (miss.permission & permission) === permission,
    );
  }

  readonly pump = (): void => {
    for (let n = 0; n < MOST_AT_ONCE && this.#here?.isReadable() === true; n++) {
      if (!this.#serve(this.#here)) return;
    }
  };

  /** Sends bytes on the channel, whatever they are. */
  sendBytes(bytes: Uint8Array): void {
    this.#here?.send(bytes, [], REST_MS);
  }

  /** Closes its end of the channel. */
  close(): void {
    this.#bench.endBackChannel();
    this.#here?.dispose();
    this.#here = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
    this.#bench.untranslate();
  }

  /** Takes one message; returns whether there may be more. */
  #serve(here: UnixSocket): boolean {
    const header = this.#receive(here, HEADER_BYTES);
    if (header === undefined) return false;
    const [request, flags, size] = [header.getUint32(0, true), header.getUint32(4, true), header.getUint32(8, true)];
    const payload = size <= PAYLOAD_BYTES * 8 ? this.#receive(here, size) : undefined;
    if (payload === undefined) throw new CaseEnd('fail', `it sent a request of ${size} bytes on the back channel`);
    if (request === BACK_END_IOTLB) this.#take(payload, flags);
    if ((flags & NEEDS_REPLY) === 0) return true;
    const reply = payloadOf(request, VERSION | IS_REPLY, 8, 0n);
    here.send(reply, [], REST_MS);
    return true;
  }

  #take(payload: DataView, flags: number): void {
    if ((flags & FLAGS_WITHOUT_NEED) !== VERSION || payload.byteLength !== PAYLOAD_BYTES) {
      const seen = `flags 0x${flags.toString(16)} and ${payload.byteLength} bytes`;
      throw new CaseEnd('fail', `its IOTLB message has ${seen}, where 0x1 and ${PAYLOAD_BYTES} are right`);
    }
    const miss = { iova: payload.getBigUint64(0, true), permission: payload.getUint8(24), type: payload.getUint8(25) };
    if (this.misses.length < MOST_KEPT) this.misses.push(miss);
    const { MISS, ACCESS_FAILED } = IOTLB_TYPES;
    if (miss.type !== MISS && miss.type !== ACCESS_FAILED)
      throw new CaseEnd('fail', `it sent an IOTLB message of type ${miss.type}, which no back-end sends`);
    if (miss.permission < READ || miss.permission > READ_WRITE)
      throw new CaseEnd('fail', `it asked for an address with permissions ${miss.permission}`);
    if (miss.type === MISS && this.isAnswering) this.#answer(miss);
  }

  /** An entry for what was asked. An address that is nothing has no answer. */
  #answer({ iova, permission }: IotlbMiss): void {
    const entry = this.#entries.find((each) => iova >= each.iova && iova < each.iova + each.size);
    if (entry === undefined || (entry.permission & permission) !== permission) return;
    const page = this.pageSize;
    const whole = this.isExact ? { ...entry, permission } : entry;
    const answer = page === undefined ? whole : pageOf(whole, iova - (iova % page), page);
    this.#bench.frontEnd.send('IOTLB_MSG', iotlbPayload(IOTLB_TYPES.UPDATE, answer));
  }

  #receive(here: UnixSocket, length: number): DataView | undefined {
    const bytes = new Uint8Array(length);
    const descriptors: number[] = [];
    const result = length === 0 ? 'done' : here.receiveDescriptors(bytes, descriptors, REST_MS);
    for (const descriptor of descriptors) closeDescriptor(descriptor);
    if (result === 'done') return new DataView(bytes.buffer);
    // A back-end may close its end. A channel that is closed stays readable.
    if (result === 'closed') this.close();
    return undefined;
  }
}

/** The part of an entry in a page. */
function pageOf(entry: IotlbEntry, start: bigint, page: bigint): IotlbEntry {
  const from = start > entry.iova ? start : entry.iova;
  const end = entry.iova + entry.size < start + page ? entry.iova + entry.size : start + page;
  return { ...entry, iova: from, size: end - from, user: entry.user + (from - entry.iova) };
}

/** What is left of an entry without some addresses. */
function without(entry: IotlbEntry, from: bigint, to: bigint): readonly IotlbEntry[] {
  const end = entry.iova + entry.size;
  if (to <= entry.iova || from >= end) return [entry];
  const before = { ...entry, size: from - entry.iova };
  const after = { ...entry, iova: to, size: end - to, user: entry.user + (to - entry.iova) };
  return [...(before.size > 0n ? [before] : []), ...(after.size > 0n ? [after] : [])];
}
