import { MismatchLog } from '@virtio-platform/device-kit';
import { EVENT_BYTES, EVENT_QUEUE, eventOf } from './layout.js';

/** Events after which the light is switched. */
const LIGHT_EVERY = 32;

/** The workload: reads events, and compares each with the one that the keyboard of the profile types next. */
export class ReadEvents {
  #driver;
  #context;
  #mismatches = new MismatchLog();
  #read = 0;
  #bytes = 0;
  #repeated = 0;
  #isOn = false;
  /** Events that came in buffers which queue resets returned before they were taken: how many may be, and were. */
  #mayMiss = 0;
  #missed = 0;

  constructor(driver, context) {
    this.#driver = driver;
    this.#context = context;
  }

  get done() {
    const mismatches = this.#mismatches.report;
    return { requests: this.#read, bytes: this.#bytes, repeated: this.#repeated, mismatches };
  }

  async run() {
    const { loop, requests } = this.#context;
    while (this.#read < requests) {
      const reason = this.#driver.fill();
      if (reason < 0 && this.#driver.waiting === 0) loop.failedToAdd(reason);
      loop.disrupt(this.#read);
      this.#driver.publish();
      const came = this.#driver.poll((event) => this.#check(event));
      await loop.turn(came, this.#read);
    }
  }

  recover(queue, ids) {
    this.#driver.recover(queue, ids);
    if (queue === EVENT_QUEUE) this.#mayMiss += ids.length;
    this.#repeated += ids.length;
  }

  #check({ length, type, code, value }) {
    // More may come in one round than the profile asks for.
    if (this.#read >= this.#context.requests) return;
    const { text } = this.#context.settings;
    const isEvent = (wanted) => type === wanted.type && code === wanted.code && value === wanted.value;
    const next = this.#read + this.#missed;
    let skipped = 0;
    while (skipped < this.#mayMiss && !isEvent(eventOf(text, next + skipped))) skipped++;
    const isRight = isEvent(eventOf(text, next + skipped));
    if (isRight) {
      this.#mayMiss -= skipped;
      this.#missed += skipped;
    }
    const wanted = eventOf(text, next);
    if (length !== EVENT_BYTES) this.#note('used-length', `used length ${length} instead of ${EVENT_BYTES}`);
    else if (!isRight) {
      const seen = `type ${type}, code ${code}, value ${value}`;
      this.#note('data', `${seen} instead of type ${wanted.type}, code ${wanted.code}, value ${wanted.value}`);
    } else this.#bytes += length;
    this.#read++;
    if (this.#read % LIGHT_EVERY === 0) {
      this.#isOn = !this.#isOn;
      this.#driver.light(this.#isOn);
    }
  }

  #note(kind, detail) {
    const place = { queue: EVENT_QUEUE, buffer: null, address: null, deviceAddress: null };
    const facts = { difference: null, status: null, used: null };
    const request = this.#read + 1;
    this.#mismatches.note(kind, () => ({ request, what: `event ${this.#read}`, detail, ...place, ...facts }));
  }
}
