import { MismatchLog } from '@virtio-platform/device-kit';
import { EVENT_BYTES, EVENT_QUEUE, eventOf } from './layout.js';

/** Events after which the light is switched. */
const LIGHT_EVERY = 32;

function isSame(one, other) {
  return one.type === other.type && one.code === other.code && one.value === other.value;
}

/** The workload: reads events, and compares each with the one that the keyboard of the profile types next. */
export class ReadEvents {
  #driver;
  #context;
  #mismatches = new MismatchLog();
  #read = 0;
  #bytes = 0;
  #repeated = 0;
  /** Which event of the text comes next, and how many may have gone with buffers that a queue reset took. */
  #next = 0;
  #mayMiss = 0;
  #isOn = false;

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
    this.#repeated += ids.length;
    if (queue === EVENT_QUEUE) this.#mayMiss += ids.length;
  }

  #check({ length, type, code, value }) {
    // More may come in one round than the profile asks for.
    if (this.#read >= this.#context.requests) return;
    const wanted = this.#wantedEvent({ type, code, value });
    const isRight = isSame(wanted, { type, code, value });
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

  /** The event that has to come next: this one, where those before it may be gone. */
  #wantedEvent(event) {
    const { text } = this.#context.settings;
    let missed = 0;
    while (missed < this.#mayMiss && !isSame(event, eventOf(text, this.#next + missed))) missed++;
    const at = isSame(event, eventOf(text, this.#next + missed)) ? this.#next + missed : this.#next;
    this.#mayMiss -= at - this.#next;
    this.#next = at + 1;
    return eventOf(text, at);
  }

  #note(kind, detail) {
    const place = { queue: EVENT_QUEUE, buffer: null, address: null, deviceAddress: null };
    const facts = { difference: null, status: null, used: null };
    const request = this.#read + 1;
    this.#mismatches.note(kind, () => ({ request, what: `event ${this.#read}`, detail, ...place, ...facts }));
  }
}
