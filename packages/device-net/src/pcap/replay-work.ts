import type { MismatchKind, WorkDone, Workload, WorkloadContext } from '@virtio-platform/core';
import { MismatchLog, NO_BUFFER } from '@virtio-platform/device-kit';
import type { NetDriver } from '../net-driver.ts';
import type { NetLink } from '../net-link.ts';
import type { NetSettings } from '../net-settings.ts';
import { PacketLayers } from '../offload/packet-layers.ts';
import { FrameHash, NET_HASH_KEY_BYTES, NET_HASH_TYPES } from '../receive-side-scaling/frame-hash.ts';
import { CaptureReader } from './capture-reader.ts';
import { CaptureWriter } from './capture-writer.ts';

/** The options of the workload `pcap`. */
export interface ReplayOptions {
  /** Path of the pcap file whose frames are sent. */
  readonly input: string;
  /** Path of the pcap file to which received frames are written; none unless given. */
  readonly output?: string | undefined;
  /** Bytes of the longest frame. */
  readonly blockSize: number;
}

/** How far one pair is, in frames of that pair. */
interface PairProgress {
  readonly link: NetLink;
  /** Which frames of the file are on their way, first in, first out. */
  readonly inFlight: number[];
}

/**
 * Sends the frames of a pcap file, again and again until there are as many as the profile asks for, compares what comes
 * back with them, and writes it to another pcap file. The frames of one flow take one pair of queues.
 */
export class ReplayWork implements Workload {
  readonly #driver: NetDriver;
  readonly #context: WorkloadContext<NetSettings, ReplayOptions>;
  readonly #capture: CaptureReader;
  readonly #received: Uint8Array;
  readonly #layers: PacketLayers = new PacketLayers();
  readonly #hash: FrameHash = new FrameHash();
  /** Any key spreads flows. */
  readonly #key: Uint8Array = Uint8Array.from({ length: NET_HASH_KEY_BYTES }, (_, i) => (i * 167 + 109) & 0xff);
  readonly #mismatches: MismatchLog;
  #pairs: readonly PairProgress[] = [];
  #output: CaptureWriter | undefined;
  #sent = 0;
  #inFlight = 0;
  #completed = 0;
  #bytes = 0;

  /** Throws {@link DeviceError} `ERR_DEVICE_CAPTURE` for an input that cannot be used. */
  constructor(driver: NetDriver, context: WorkloadContext<NetSettings, ReplayOptions>) {
    const { input, blockSize } = context.options;
    this.#driver = driver;
    this.#context = context;
    this.#mismatches = new MismatchLog(context.loop);
    this.#capture = new CaptureReader(input, blockSize);
    // One byte more than a frame, to see one that is longer.
    this.#received = new Uint8Array(blockSize + 1);
  }

  get done(): WorkDone {
    const mismatches = this.#mismatches.report;
    return { requests: this.#completed, bytes: this.#bytes, repeated: 0, mismatches };
  }

  async run(): Promise<void> {
    const { output } = this.#context.options;
    this.#output = output === undefined ? undefined : new CaptureWriter(output);
    try {
      await this.#replay();
    } finally {
      this.#output?.close();
    }
  }

  async #replay(): Promise<void> {
    const driver = this.#driver;
    const { loop, requests, depth } = this.#context;
    while (!driver.isConnected) await loop.turn(driver.connect(), 0);
    this.#pairs = driver.links.map((link) => ({ link, inFlight: [] }));
    while (this.#completed < requests) {
      let progress = 0;
      loop.disrupt(this.#completed);
      while (this.#sent < requests && this.#inFlight < depth && this.#send()) this.#sent++;
      for (const pair of this.#pairs) progress += pair.link.flush() + this.#receive(pair);
      await loop.turn(progress, this.#completed);
    }
  }

  /** Sends the next frame on the pair of its flow. */
  #send(): boolean {
    const frame = this.#capture.frame(this.#sent);
    this.#layers.read(frame, frame.length);
    this.#hash.of(frame, this.#layers, NET_HASH_TYPES, this.#key);
    const pair = this.#pairs[this.#hash.value % this.#pairs.length]!;
    const reason = pair.link.send(frame, frame.length);
    if (reason === 0) {
      pair.inFlight.push(this.#sent);
      this.#inFlight++;
      this.#bytes += frame.length;
    } else if (reason !== NO_BUFFER && this.#inFlight === 0 && pair.link.inFlight === 0)
      this.#context.loop.failedToAdd(reason);
    return reason === 0;
  }

  /** Takes everything that came on one pair, and returns how much that was. */
  #receive(pair: PairProgress): number {
    let came = 0;
    const received = this.#received;
    for (let length = pair.link.receive(received); length > 0; length = pair.link.receive(received)) {
      came++;
      this.#bytes += length;
      this.#output?.write(received, length, performance.timeOrigin + performance.now());
      this.#check(pair, length);
    }
    return came;
  }

  #check(pair: PairProgress, length: number): void {
    const index = pair.inFlight.findIndex((number) => this.#differs(number, length) < 0);
    if (index < 0) return this.#noteWrong(pair, length);
    for (const lost of pair.inFlight.splice(0, index)) {
      this.#note(pair, 'lost', lost, 'did not come back: a later frame came in its place');
      this.#complete();
    }
    pair.inFlight.shift();
    this.#complete();
  }

  /** No frame that is on its way is what came. */
  #noteWrong(pair: PairProgress, length: number): void {
    const number = pair.inFlight.shift();
    if (number === undefined)
      return this.#note(pair, 'unexpected', this.#sent, `of ${length} bytes came and was not sent`);
    const expected = this.#capture.frame(number);
    if (expected.length !== length)
      this.#note(pair, 'length', number, `came back with ${length} bytes instead of ${expected.length}`);
    else {
      const at = this.#differs(number, length);
      const difference = { offset: at, expected: expected[at]!, actual: this.#received[at]! };
      this.#note(
        pair,
        'data',
        number,
        `byte ${at} is ${difference.actual} instead of ${difference.expected}`,
        difference,
      );
    }
    this.#complete();
  }

  #complete(): void {
    this.#inFlight--;
    this.#completed++;
  }

  /** The first byte of what came that is not the one of a frame of the file; -1 where it is that frame. */
  #differs(number: number, length: number): number {
    const frame = this.#capture.frame(number);
    if (frame.length !== length) return 0;
    for (let i = 0; i < length; i++) if (frame[i] !== this.#received[i]) return i;
    return -1;
  }

  #note(
    { link }: PairProgress,
    kind: MismatchKind,
    number: number,
    detail: string,
    difference: { readonly offset: number; readonly expected: number; readonly actual: number } | null = null,
  ): void {
    const what = `frame ${(number % this.#capture.count) + 1} of the capture`;
    const place = { queue: link.receiveQueue, buffer: null, address: null, deviceAddress: null };
    const facts = { difference, status: null, used: null };
    this.#mismatches.note(kind, () => ({ request: this.#completed + 1, what, detail, ...place, ...facts }));
  }
}
