import type { MismatchKind, WorkDone, Workload, WorkloadContext } from '@virtio-platform/core';
import { hexadecimal, MismatchLog, NO_BUFFER, Random } from '@virtio-platform/device-kit';
import type { EntropyDriver } from './entropy-driver.ts';
import type { EntropySettings } from './entropy-settings.ts';
import { SeededBytes } from './entropy-source.ts';

/** The options of the workloads. */
export interface ReadEntropyOptions {
  /** Bytes of each request; in `mixed`, of the longest. */
  readonly blockSize: number;
}

/** Fewer zeros than this can be chance. */
const TELLING_BYTES = 8;

/**
 * Reads from an entropy device: in `read` always as much, in `mixed` of random length, in one to four descriptors. What
 * a device with a seed gives is known: each buffer starts with its number, so that all can be checked in whatever order
 * they come, and none may come twice. Of any other device only that it wrote something, and of each that it wrote
 * nothing behind the buffer that it was given. What a device writes behind the used length, but in the buffer, is
 * allowed (section 2.7.8.2) and not looked at.
 */
export class ReadEntropy implements Workload {
  readonly #context: WorkloadContext<EntropySettings, ReadEntropyOptions>;
  readonly #driver: EntropyDriver;
  readonly #bytes: Uint8Array;
  readonly #expected: SeededBytes | undefined;
  /** Chooses lengths; `undefined` where all are the same. */
  readonly #random: Random | undefined;
  /** One for each number of a buffer that came. */
  readonly #seen: Uint8Array;
  /** Requests that a queue reset took back, to be made again. */
  #again = 0;
  #repeated = 0;
  #completed = 0;
  readonly #mismatches: MismatchLog;
  #bytesRead = 0;

  constructor(driver: EntropyDriver, context: WorkloadContext<EntropySettings, ReadEntropyOptions>) {
    this.#context = context;
    this.#mismatches = new MismatchLog(context.loop);
    this.#driver = driver;
    this.#bytes = new Uint8Array(context.options.blockSize);
    this.#random = context.kind === 'mixed' ? new Random(context.seed) : undefined;
    const { seed } = context.settings;
    this.#expected = seed === undefined ? undefined : new SeededBytes(seed);
    // A request that was taken back may have got its number all the same.
    this.#seen = new Uint8Array(context.requests + context.mostReturned);
  }

  get done(): WorkDone {
    const mismatches = this.#mismatches.report;
    return { requests: this.#completed, bytes: this.#bytesRead, repeated: this.#repeated, mismatches };
  }

  async run(): Promise<void> {
    const { notify, requests, loop } = this.#context;
    const { queue } = this.#context.queues[0]!;
    for (let next = 0; this.#completed < requests;) {
      next -= this.#again;
      this.#again = 0;
      while (next < requests && this.#request()) next++;
      const isWanted = this.#driver.publish();
      loop.disrupt(this.#completed);
      if (isWanted) notify(queue);
      const came = this.#driver.poll();
      for (let i = 0; i < came; i++) {
        const [slot, asked] = [this.#driver.slot(i), this.#driver.asked(i)];
        this.#check(this.#driver.read(i, this.#bytes), slot, asked);
        this.#completed++;
      }
      await loop.turn(came, this.#completed);
    }
  }

  recover(_queue: number, ids: readonly number[]): void {
    this.#driver.recover(ids);
    this.#again += ids.length;
    this.#repeated += ids.length;
  }

  #request(): boolean {
    const { bytes, mostPieces } = this.#driver;
    const random = this.#random;
    const length = random === undefined ? bytes : 1 + random.below(bytes);
    const pieces = random === undefined ? 1 : 1 + random.below(Math.min(mostPieces, length));
    const reason = this.#driver.submit(length, pieces);
    if (reason >= 0) return true;
    if (reason !== NO_BUFFER && this.#driver.inFlight === 0) this.#context.loop.failedToAdd(reason);
    return false;
  }

  #check(length: number, slot: number, asked: number): void {
    const beyond = this.#beyond(slot, asked);
    if (beyond !== undefined) return this.#note('data', beyond);
    if (length === 0)
      return this.#note('used-length', 'used length 0: the device has to write at least 1 byte (5.4.6.2)');
    const wrong = this.#expected === undefined ? this.#unwritten(length) : this.#unexpected(length, this.#expected);
    if (wrong === undefined) this.#bytesRead += length;
    else this.#note('data', `${wrong}, used length ${length}`);
  }

  /** What the device wrote behind the bytes that it was given; `undefined` where it wrote nothing. */
  #beyond(slot: number, asked: number): string | undefined {
    const { u8 } = this.#context.inspected;
    const start = this.#driver.address(slot);
    for (let at = asked; at < this.#driver.bytes; at++) {
      const byte = u8[start + at]!;
      if (byte !== 0) return `byte ${at} is ${hexadecimal(byte)}, behind a buffer of ${asked} bytes of zeros`;
    }
    return undefined;
  }

  /** What is wrong with bytes of which only chance decides; `undefined` where nothing is. */
  #unwritten(length: number): string | undefined {
    if (length < TELLING_BYTES) return undefined;
    for (let i = 0; i < length; i++) if (this.#bytes[i] !== 0) return undefined;
    return `all ${length} bytes are 0, as the driver left them`;
  }

  /** What is wrong with the bytes of a device with a seed; `undefined` where nothing is. */
  #unexpected(length: number, expected: SeededBytes): string | undefined {
    let counter = 0;
    for (let i = 0; i < 4 && i < length; i++) counter = (counter | (this.#bytes[i]! << (8 * i))) >>> 0;
    if (counter >= this.#seen.length) return `the bytes begin with number ${counter}, which no buffer has`;
    // These are the low bytes of one number of many.
    if (length < 4) return undefined;
    if (this.#seen[counter] !== 0) return `the bytes of buffer ${counter} came a second time`;
    this.#seen[counter] = 1;
    expected.begin(counter);
    for (let i = 0; i < length; i++) {
      const right = expected.next();
      if (this.#bytes[i] === right) continue;
      return `byte ${i} of buffer ${counter} is ${hexadecimal(this.#bytes[i]!)} instead of ${hexadecimal(right)}`;
    }
    return undefined;
  }

  #note(kind: MismatchKind, detail: string): void {
    const queue = this.#context.queues[0]!.queue.index;
    const place = {
      queue,
      buffer: null,
      address: null,
      deviceAddress: null,
      difference: null,
      status: null,
      used: null,
    };
    this.#mismatches.note(kind, () => ({ request: this.#completed + 1, what: 'read of entropy', detail, ...place }));
  }
}
