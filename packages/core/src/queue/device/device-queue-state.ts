import type { QueueLayout } from '../ring/ring-format.ts';
import { checkSaved, savedInteger, savedList, savedRecord } from '../ring/saved-value.ts';

/** A buffer that was popped and not pushed back. Its contents are known to the device half that has it. */
export interface InFlightState {
  /** Head descriptor of a split ring, buffer id of a packed one. */
  readonly id: number;
  /** Slots of a packed ring that it takes; 1 in a split ring. */
  readonly slots: number;
  /** Bytes of its writable part; kept with IN_ORDER only, otherwise 0. */
  readonly room: number;
}

/**
 * A saved device's end, as plain data that survives JSON: what a live migration has to move beside guest memory. The
 * position of the next available buffer follows from the used buffers and those in flight.
 */
export interface DeviceQueueState {
  readonly layout: QueueLayout;
  readonly size: number;
  /** Low and high words of the descriptor, driver and device area. */
  readonly words: readonly number[];
  /** The used index of a split ring, or the position of the next used descriptor of a packed one. */
  readonly used: number;
  /** Oldest first with IN_ORDER. */
  readonly inFlight: readonly InFlightState[];
}

/**
 * Checks a value from outside as a saved device's end; the constructor of the queue checks size and addresses further.
 * Throws {@link CodedError} `ERR_QUEUE_STATE`.
 */
export function checkDeviceQueueState(value: unknown): DeviceQueueState {
  const record = savedRecord(value, 'it');
  const { layout } = record;
  checkSaved(layout === 'split' || layout === 'packed', 'its layout is neither split nor packed');
  const size = savedInteger(record['size'], 1, 32_768, 'its size');
  const words = savedList(record['words'], 6, 'words').map((word) => savedInteger(word, 0, 0xffff_ffff, 'a word'));
  checkSaved(words.length === 6, 'words are not six');
  const used = savedInteger(record['used'], 0, 0xffff, 'used');
  checkSaved(layout === 'split' || (used & 0x7fff) < size, `slot ${used & 0x7fff} is beyond its ${size} entries`);
  const inFlight = savedList(record['inFlight'], size, 'inFlight').map((buffer) => checkInFlight(buffer, size));
  const ids = new Set(inFlight.map(({ id }) => id));
  checkSaved(ids.size === inFlight.length, 'a buffer is in flight twice');
  const slots = inFlight.reduce((sum, buffer) => sum + buffer.slots, 0);
  checkSaved(slots <= size, `${slots} slots are in flight in a queue of ${size}`);
  return { layout, size, words, used, inFlight };
}

function checkInFlight(value: unknown, size: number): InFlightState {
  const record = savedRecord(value, 'a buffer');
  return {
    id: savedInteger(record['id'], 0, size - 1, 'an id'),
    slots: savedInteger(record['slots'], 1, size, 'slots'),
    room: savedInteger(record['room'], 0, 0x1_0000_0000, 'room'),
  };
}
