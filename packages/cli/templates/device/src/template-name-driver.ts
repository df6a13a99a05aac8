import { DeviceError, type DriverContext, type DriverHalf } from '@virtio-platform/core';
import { BufferSlots, ConfigFields } from '@virtio-platform/device-kit';
import { TEMPLATE_NAME_CONFIG, TICK_BYTES } from './layout.ts';

/** The driver half: gives the device buffers, and reads the ticks that come in them. */
export class TemplateNameDriver implements DriverHalf {
  /** What each tick adds to the counter. */
  readonly step: number;
  readonly #context: DriverContext;
  readonly #slots: BufferSlots;

  /** Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where the device says what cannot be. */
  constructor(context: DriverContext) {
    const { memory, queues, depth, buffers } = context;
    const { queue, mapping } = queues[0]!;
    const fields = new ConfigFields(context);
    this.step = fields.number(TEMPLATE_NAME_CONFIG.step, 1);
    if (this.step === 0 || fields.number(TEMPLATE_NAME_CONFIG.interval, 0) === 0) {
      throw new DeviceError('ERR_DEVICE_CONFIG', 'the device has a step or an interval of 0', {
        hint: 'correct what the device writes to its configuration space',
      });
    }
    this.#context = context;
    this.#slots = new BufferSlots(memory, queue, mapping, {
      count: Math.min(depth, queue.size),
      readable: 0,
      writable: TICK_BYTES,
      buffers,
    });
  }

  /** Buffers that wait for ticks. */
  get waiting(): number {
    return this.#slots.inFlight;
  }

  /** Gives the device all free buffers. Returns 0, or the negative reason why one could not be added. Hot. */
  fill(): number {
    for (let slot = this.#slots.take(); slot >= 0; slot = this.#slots.take()) {
      const reason = this.#slots.submit(slot, 0);
      if (reason >= 0) continue;
      this.#slots.give(slot);
      return reason;
    }
    return 0;
  }

  /** Shows the buffers to the device. Returns whether it wants to be notified. Hot. */
  publish(): boolean {
    return this.#slots.queue.publish();
  }

  /** Notifies the device. Hot. */
  notify(): void {
    this.#context.notify(this.#slots.queue);
  }

  /**
   * Takes what came, and calls `onTick` for each with the bytes that the device wrote and the counter. Returns how
   * many came. Hot.
   */
  poll(onTick: (length: number, count: number) => void): number {
    const { memory, byteOrder } = this.#context;
    const came = this.#slots.poll();
    for (let i = 0; i < came; i++) {
      const slot = this.#slots.completedSlots[i]!;
      const count = memory.view.getUint32(this.#slots.writableAddress(slot), byteOrder === 'little');
      onTick(this.#slots.completedLengths[i]!, count);
      this.#slots.give(slot);
    }
    return came;
  }

  /** Takes back the buffers that a reset of the queue returned, by their ids. */
  recover(ids: readonly number[]): void {
    for (const slot of this.#slots.recover(ids)) this.#slots.give(slot);
  }

  /** Stands in the account of a failure: every buffer of this device waits for a tick. */
  describeBuffer(): string {
    return 'buffer for a tick';
  }

  dispose(): void {
    this.#slots.dispose();
  }
}
