import { isTrouble } from './describe-event.js';

/**
 * A row of the table of events.
 * @typedef {{ kind: string, name: string, track: string, id?: string, address?: string, deviceAddress?: string,
 *   length?: string, extra?: string }} Row
 */
/**
 * One event. `time` in tenths of microseconds; `address` and `device` hexadecimal.
 * @typedef {{ at: number, time: number, row: Row, queue: number, id: number, address: string | undefined,
 *   device: string, length: number, extra: number, text: string }} PageEvent
 */
/**
 * One buffer. Times as those of events; -1 where they are not known.
 * @typedef {{ at: number, queue: number, id: number, added: number, popped: number, pushed: number, taken: number,
 *   bytes: number, written: number, reset: number, lane: number, slot: number, slots: number }} PageBuffer
 */

/** What was recorded of one run, as the page has it. */
export class RunData {
  /**
   * @param {any} data
   * @param {{ kinds: Row[], tracks: { name: string, title: string }[] }} words
   */
  constructor(data, words) {
    this.words = words;
    this.data = data;
    this.end = Math.max(1, data.end);
    this.length = data.events.time.length;
    /** Of each event, in tenths of microseconds. */
    this.times = new Float64Array(this.length);
    let time = 0;
    for (let i = 0; i < this.length; i++) this.times[i] = time += data.events.time[i];
    this.rows = data.events.kind.map((/** @type {number} */ kind) => words.kinds[kind]);
    const { buffers } = data;
    /** @type {PageBuffer[]} */
    this.buffers = buffers.id.map((/** @type {number} */ id, /** @type {number} */ at) => ({
      at,
      id,
      queue: buffers.queue[at],
      added: buffers.added[at],
      popped: buffers.popped[at],
      pushed: buffers.pushed[at],
      taken: buffers.taken[at],
      bytes: buffers.bytes[at],
      written: buffers.written[at],
      reset: buffers.reset[at],
      lane: buffers.lane[at],
      slot: buffers.slot[at],
      slots: buffers.slots[at],
    }));
    this.queues = [...new Set(this.buffers.map(({ queue }) => queue))].toSorted((a, b) => a - b);
    this.trouble = this.rows.findIndex(isTrouble);
  }

  /**
   * @param {number} at
   * @returns {PageEvent}
   */
  event(at) {
    const { events, texts } = this.data;
    return {
      at,
      time: this.times[at] ?? 0,
      row: this.rows[at],
      queue: events.queue[at],
      id: events.id[at],
      address: events.address[at] === 0 ? undefined : events.address[at],
      device: events.device[at] === 0 ? '0' : events.device[at],
      length: events.length[at],
      extra: events.extra[at],
      text: texts[at] ?? '',
    };
  }

  /**
   * The place of the first event that is not before a time.
   * @param {number} time
   * @returns {number}
   */
  indexAt(time) {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.times[middle] ?? 0) < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * A queue right after the event at a place: positions as the driver has them, and the buffers that are outstanding.
   * @param {number} queue
   * @param {number} at
   */
  ringAt(queue, at) {
    let [available, taken] = [-1, -1];
    const { events } = this.data;
    for (let i = at; i >= 0 && (available < 0 || taken < 0); i--) {
      if (events.queue[i] !== queue) continue;
      const { kind } = this.rows[i];
      if (kind === 'enableQueue') break;
      if (kind === 'publish' && available < 0) available = events.extra[i];
      else if (kind === 'takeUsed' && taken < 0) taken = events.extra[i];
    }
    const time = this.times[at] ?? 0;
    const away = this.buffers.filter(
      (buffer) => buffer.queue === queue && buffer.added <= time && (buffer.taken < 0 || buffer.taken > time),
    );
    return { available, taken, away };
  }
}
