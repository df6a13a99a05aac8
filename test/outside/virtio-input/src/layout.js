/** Queues. Virtio 1.4 section 5.8.2. */
export const EVENT_QUEUE = 0;
export const STATUS_QUEUE = 1;

/** le16 type, le16 code, le32 value. Section 5.8.6. */
export const EVENT_BYTES = 8;

/** Values of `select`: what `u` then has, and `size` bytes of it. Section 5.8.5. */
export const CFG_ID_NAME = 1;
export const CFG_EV_BITS = 0x11;

/** Event types and codes, as Linux numbers them (input-event-codes.h). */
export const EV_SYN = 0;
export const EV_KEY = 1;
export const EV_LED = 0x11;
export const LED_CAPSL = 1;

/** The configuration space: the driver writes `select` and `subsel`, then reads `size` and `u`. Section 5.8.5. */
export const INPUT_CONFIG = {
  select: { offset: 0, width: 1, isWritable: true },
  subsel: { offset: 1, width: 1, isWritable: true },
  size: { offset: 2, width: 1 },
  u: { offset: 8, width: 128 },
};

const ROWS = ['qwertyuiop', 'asdfghjkl', 'zxcvbnm'];
const FIRST_CODES = [16, 30, 44];
const SPACE = 57;

/** The code of the key for a lower-case letter or a space. */
export function keyOf(character) {
  const row = ROWS.findIndex((letters) => letters.includes(character));
  return row < 0 ? SPACE : FIRST_CODES[row] + ROWS[row].indexOf(character);
}

/** The events of a text, again and again: each key is pressed and released, each with its SYN. */
export function eventOf(text, index) {
  const step = index % 4;
  if (step % 2 === 1) return { type: EV_SYN, code: 0, value: 0 };
  const character = text[Math.floor(index / 4) % text.length];
  return { type: EV_KEY, code: keyOf(character), value: step === 0 ? 1 : 0 };
}
