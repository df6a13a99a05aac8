import { demand, demandInteger, demandList, demandRecord } from './queue-state.ts';

/** A buffer that was popped and not pushed back. What it consists of is known to the device half that has it. */
export interface InFlightState {
  /** Head descriptor of a split ring, buffer id of a packed one. */
  readonly id: number;
  /** Slots of a packed ring that it takes; 1 in a split ring. */
  readonly slots: number;
  /** Bytes of its writable part; kept with IN_ORDER only, otherwise 0. */
  readonly room: number;
}

/**
 * A device's end at rest, as plain data that survives JSON: what a live migration has to move beside guest memory. Where the next
 * available buffer will be follows from what was used, and what is in flight.
 */
export interface DeviceQueueState {
  readonly layout: 'split' | 'packed';
  readonly size: number;
  /** Low and high words of the descriptor, driver and device area. */
  readonly words: readonly number[];
  /** The used index of a split ring, or where the next used descriptor of a packed one goes. */
  readonly used: number;
  /** Oldest first with IN_ORDER. */
  readonly inFlight: readonly InFlightState[];
}

/** Checks a saved device's end, whatever it is; the queue's own rules come on top. Throws {@link CodedError} `ERR_QUEUE_STATE`. */
export function checkDeviceQueueState(value: unknown): DeviceQueueState {
  const record = demandRecord(value, 'it');
  const { layout } = record;
  demand(layout === 'split' || layout === 'packed', 'its layout is neither split nor packed');
  const size = demandInteger(record['size'], 1, 32_768, 'its size');
  const words = demandList(record['words'], 6, 'words').map((word) => demandInteger(word, 0, 0xffff_ffff, 'a word'));
  demand(words.length === 6, 'words are not six');
  const used = demandInteger(record['used'], 0, 0xffff, 'used');
  demand(layout === 'split' || (used & 0x7fff) < size, `there is no slot ${used & 0x7fff}`);
  const inFlight = demandList(record['inFlight'], size, 'inFlight').map((buffer) => checkInFlight(buffer, size));
  const ids = new Set(inFlight.map(({ id }) => id));
  demand(ids.size === inFlight.length, 'a buffer is in flight twice');
  const slots = inFlight.reduce((sum, buffer) => sum + buffer.slots, 0);
  demand(slots <= size, `${slots} slots are in flight in a queue of ${size}`);
  return { layout, size, words, used, inFlight };
}

function checkInFlight(value: unknown, size: number): InFlightState {
  const record = demandRecord(value, 'a buffer');
  return {
    id: demandInteger(record['id'], 0, size - 1, 'an id'),
    slots: demandInteger(record['slots'], 1, size, 'slots'),
    room: demandInteger(record['room'], 0, 0x1_0000_0000, 'room'),
  };
}
