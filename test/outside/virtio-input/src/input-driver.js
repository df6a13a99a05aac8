import { DeviceError } from '@virtio-platform/core';
import { BufferSlots, ConfigFields } from '@virtio-platform/device-kit';
import {
  CFG_EV_BITS,
  CFG_ID_NAME,
  EV_KEY,
  EV_LED,
  EVENT_BYTES,
  EVENT_QUEUE,
  INPUT_CONFIG,
  LED_CAPSL,
  STATUS_QUEUE,
} from './layout.js';

/** The driver half: takes events from the first queue, and switches the light with the second. */
export class InputDriver {
  /** The device's name, in UTF-8. */
  name;
  #context;
  #events;
  #status;
  #littleEndian;

  constructor(context) {
    const { memory, queues, buffers, depth, byteOrder } = context;
    this.#context = context;
    this.#littleEndian = byteOrder === 'little';
    this.name = new TextDecoder().decode(this.#select(CFG_ID_NAME, 0));
    if (this.#select(CFG_EV_BITS, EV_KEY).every((bits) => bits === 0)) {
      throw new DeviceError('ERR_DEVICE_CONFIG', 'the input device has no key (virtio 1.4 §5.8.5)', {
        hint: 'the workload needs a keyboard',
      });
    }
    const [events, status] = queues;
    this.#events = new BufferSlots(memory, events.queue, events.mapping, {
      count: Math.min(depth, events.queue.size),
      readable: 0,
      writable: EVENT_BYTES,
      buffers,
    });
    try {
      const slots = { count: 1, readable: EVENT_BYTES, writable: 0, buffers };
      this.#status = new BufferSlots(memory, status.queue, status.mapping, slots);
    } catch (error) {
      this.#events.dispose();
      throw error;
    }
  }

  /** Buffers that wait for events. */
  get waiting() {
    return this.#events.inFlight;
  }

  /** Gives the device all free buffers. Returns 0, or the negative reason why one could not be added. */
  fill() {
    for (let slot = this.#events.take(); slot >= 0; slot = this.#events.take()) {
      const reason = this.#events.submit(slot, 0);
      if (reason >= 0) continue;
      this.#events.give(slot);
      return reason;
    }
    return 0;
  }

  /** Switches the light. Returns 0, or a negative reason. */
  light(isOn) {
    const slot = this.#status.take();
    if (slot < 0) return 0;
    const { view } = this.#context.memory;
    const at = this.#status.readableAddress(slot);
    view.setUint16(at, EV_LED, this.#littleEndian);
    view.setUint16(at + 2, LED_CAPSL, this.#littleEndian);
    view.setUint32(at + 4, isOn ? 1 : 0, this.#littleEndian);
    const reason = this.#status.submit(slot, EVENT_BYTES);
    if (reason < 0) this.#status.give(slot);
    return reason;
  }

  /** Shows the buffers to the device, and notifies it where it wants that. */
  publish() {
    for (const { queue } of [this.#events, this.#status]) if (queue.publish()) this.#context.notify(queue);
  }

  /** Takes what came: calls `onEvent` for each event, with its bytes, and returns how many there were. */
  poll(onEvent) {
    const { view } = this.#context.memory;
    const came = this.#events.poll();
    for (let i = 0; i < came; i++) {
      const slot = this.#events.completedSlots[i];
      const at = this.#events.writableAddress(slot);
      onEvent({
        length: this.#events.completedLengths[i],
        type: view.getUint16(at, this.#littleEndian),
        code: view.getUint16(at + 2, this.#littleEndian),
        value: view.getUint32(at + 4, this.#littleEndian),
      });
      this.#events.give(slot);
    }
    const done = this.#status.poll();
    for (let i = 0; i < done; i++) this.#status.give(this.#status.completedSlots[i]);
    return came + done;
  }

  /** The buffers that a queue reset returned, by their ids, are free again; events in them are lost. */
  recover(queue, ids) {
    const slots = queue === EVENT_QUEUE ? this.#events : queue === STATUS_QUEUE ? this.#status : undefined;
    for (const slot of slots?.recover(ids) ?? []) slots.give(slot);
  }

  dispose() {
    this.#events.dispose();
    this.#status.dispose();
  }

  #select(select, subsel) {
    const { transport } = this.#context;
    transport.writeConfig(INPUT_CONFIG.select.offset, Uint8Array.of(select));
    transport.writeConfig(INPUT_CONFIG.subsel.offset, Uint8Array.of(subsel));
    const fields = new ConfigFields(this.#context);
    const size = Math.min(fields.number(INPUT_CONFIG.size, 0), INPUT_CONFIG.u.width);
    return fields.bytes(INPUT_CONFIG.u).subarray(0, size);
  }
}
