import { SeededBytes, NO_BUFFER, type EntropyDriver } from '@virtio-platform/devices';
import type { DriverContext, DriverHalf } from './driver-half.ts';
import { Disruptions } from './disruptions.ts';
import type { WorkloadReport } from './report.ts';
import { WorkLoop } from './work-loop.ts';

/** Fewer zeros than this can be chance. */
const TELLING_BYTES = 8;

/**
 * Reads from an entropy device. What a device with a seed gives is known: each buffer starts with its number, so that
 * all can be checked in whatever order they come, and none may come twice. Of any other device only that it wrote
 * something.
 */
export class ReadEntropy implements DriverHalf {
  readonly #context: DriverContext;
  readonly #driver: EntropyDriver;
  readonly #loop: WorkLoop;
  readonly #disruptions: Disruptions;
  readonly #bytes: Uint8Array;
  readonly #expected: SeededBytes | undefined;
  /** One for each number of a buffer that came. */
  readonly #seen: Uint8Array;
  /** Requests that a queue reset took back, to be made again. */
  #again = 0;
  #repeated = 0;
  #completed = 0;
  #errors = 0;
  #bytesRead = 0;

  /** Owns `driver`. */
  constructor(context: DriverContext, driver: EntropyDriver) {
    const { workload, device } = context.profile;
    this.#context = context;
    this.#driver = driver;
    this.#loop = new WorkLoop(context);
    this.#bytes = new Uint8Array(workload.blockSize);
    const seed = device.type === 'entropy' ? device.seed : undefined;
    this.#expected = seed === undefined ? undefined : new SeededBytes(seed);
    // A request that was taken back may have got its number all the same.
    this.#seen = new Uint8Array(workload.requests + workload.disruptions.length * workload.depth);
    this.#disruptions = new Disruptions(context, (_queue, ids) => {
      driver.recover(ids);
      this.#again += ids.length;
      this.#repeated += ids.length;
    });
  }

  get report(): WorkloadReport {
    const done = this.#completed === this.#context.profile.workload.requests;
    return {
      requests: this.#completed,
      bytes: this.#bytesRead,
      errors: this.#errors,
      verified: done && this.#errors === 0,
      interruptions: this.#disruptions.count,
      repeated: this.#repeated,
    };
  }

  async run(): Promise<void> {
    const { notify, profile } = this.#context;
    const { queue } = this.#context.queues[0]!;
    const { requests } = profile.workload;
    for (let next = 0; this.#completed < requests;) {
      next -= this.#again;
      this.#again = 0;
      while (next < requests && this.#request()) next++;
      const isWanted = this.#driver.publish();
      this.#disruptions.check(this.#completed);
      if (isWanted) notify(queue);
      const came = this.#driver.poll();
      for (let i = 0; i < came; i++) this.#check(this.#driver.read(i, this.#bytes));
      this.#completed += came;
      await this.#loop.turn(came, this.#completed);
    }
  }

  dispose(): void {
    this.#driver.dispose();
  }

  #request(): boolean {
    const reason = this.#driver.request();
    if (reason === 0) return true;
    if (reason !== NO_BUFFER && this.#driver.inFlight === 0) this.#loop.failedToAdd(reason);
    return false;
  }

  #check(length: number): void {
    const isGood = length > 0 && (this.#expected === undefined ? this.#isWritten(length) : this.#isExpected(length));
    if (isGood) this.#bytesRead += length;
    else this.#errors++;
  }

  #isWritten(length: number): boolean {
    for (let i = 0; i < length; i++) if (this.#bytes[i] !== 0) return true;
    return length < TELLING_BYTES;
  }

  #isExpected(length: number): boolean {
    const expected = this.#expected!;
    let counter = 0;
    for (let i = 0; i < 4 && i < length; i++) counter = (counter | (this.#bytes[i]! << (8 * i))) >>> 0;
    if (counter >= this.#seen.length || this.#seen[counter] !== 0) return false;
    this.#seen[counter] = 1;
    expected.begin(counter);
    for (let i = 0; i < length; i++) if (this.#bytes[i] !== expected.next()) return false;
    return true;
  }
}
