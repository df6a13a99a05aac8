import type { MismatchKind, WorkDone, Workload, WorkloadContext } from '@virtio-platform/core';
import { MismatchLog } from '@virtio-platform/device-kit';
import { TICK_BYTES, TICK_QUEUE } from './layout.ts';
import type { TemplateNameDriver } from './template-name-driver.ts';

/** The workload: reads ticks, and compares the counter of each with that of the one before. */
export class ReadTicks implements Workload {
  readonly #driver: TemplateNameDriver;
  readonly #context: WorkloadContext;
  readonly #mismatches: MismatchLog;
  readonly #onTick = (length: number, count: number): void => this.#check(length, count);
  #read = 0;
  #bytes = 0;
  #repeated = 0;
  #last = 0;
  /** Ticks that may have gone with buffers that a queue reset took. */
  #mayMiss = 0;

  constructor(driver: TemplateNameDriver, context: WorkloadContext) {
    this.#driver = driver;
    this.#context = context;
    this.#mismatches = new MismatchLog(context.loop);
  }

  get done(): WorkDone {
    const mismatches = this.#mismatches.report;
    return { requests: this.#read, bytes: this.#bytes, repeated: this.#repeated, mismatches };
  }

  async run(): Promise<void> {
    const { loop, requests } = this.#context;
    while (this.#read < requests) {
      const reason = this.#driver.fill();
      if (reason < 0 && this.#driver.waiting === 0) loop.failedToAdd(reason);
      const isWanted = this.#driver.publish();
      loop.disrupt(this.#read);
      if (isWanted) this.#driver.notify();
      await loop.turn(this.#driver.poll(this.#onTick), this.#read);
    }
  }

  recover(_queue: number, ids: readonly number[]): void {
    this.#driver.recover(ids);
    this.#repeated += ids.length;
    this.#mayMiss += ids.length;
  }

  #check(length: number, count: number): void {
    // More may come in one round than the profile asks for.
    if (this.#read >= this.#context.requests) return;
    const { step } = this.#driver;
    const missed = ((count - this.#last) >>> 0) / step - 1;
    const isNext = Number.isInteger(missed) && missed >= 0 && missed <= this.#mayMiss;
    if (length !== TICK_BYTES) this.#note('used-length', `used length ${length} instead of ${TICK_BYTES}`);
    else if (!isNext) this.#note('data', `the counter is ${count} after ${this.#last}, in steps of ${step}`);
    else this.#bytes += length;
    this.#last = count;
    this.#mayMiss = 0;
    this.#read++;
  }

  #note(kind: MismatchKind, detail: string): void {
    const request = this.#read + 1;
    const place = { queue: TICK_QUEUE, buffer: null, address: null, deviceAddress: null };
    const facts = { difference: null, status: null, used: null };
    this.#mismatches.note(kind, () => ({ request, what: `tick ${request}`, detail, ...place, ...facts }));
  }
}
