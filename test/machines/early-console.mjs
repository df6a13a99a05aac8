// A console whose workload writes emergency characters. Plain JavaScript: a profile names this file.
import { defineDeviceType, defineWorkload } from '@virtio-platform/core';
import consoleType, { writeEmergency } from '@virtio-platform/device-console';
import { z } from 'zod';

const BEFORE = 'before';
const AFTER = 'after';

/** Writes emergency characters before DRIVER_OK and after it, and waits until they come back through the console. */
class EarlyConsole {
  #context;
  #driver;
  #came = '';

  constructor(driver, context) {
    this.#driver = driver;
    this.#context = context;
    for (const character of Buffer.from(BEFORE)) writeEmergency(context, character);
  }

  get done() {
    const isRight = this.#came === BEFORE + AFTER;
    return { requests: isRight ? 1 : 0, bytes: this.#came.length, repeated: 0, mismatches: { counts: {}, first: [] } };
  }

  async run() {
    const target = new Uint8Array(64);
    let isWritten = false;
    while (this.done.requests === 0) {
      let progress = this.#driver.connect();
      for (const port of this.#driver.ports) {
        progress += port.flush();
        const length = port.receive(target);
        this.#came += Buffer.from(target.subarray(0, length)).toString();
        progress += length;
      }
      if (!isWritten && this.#came === BEFORE) {
        for (const character of Buffer.from(AFTER)) this.#driver.writeEmergency(character);
        isWritten = true;
      }
      await this.#context.loop.turn(progress, this.done.requests);
    }
  }
}

export default defineDeviceType({
  ...consoleType,
  workloads: {
    early: defineWorkload({
      summary: 'write emergency characters before the device is up, and read them',
      options: z.strictObject({}),
      bytes: () => 64,
      recovers: false,
      open: (driver, context) => new EarlyConsole(driver, context),
    }),
  },
});
