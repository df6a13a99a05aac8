/** What a number means to people, by the words that the table of events has for it. */
const DIRECTIONS = ['both directions', 'the device reads', 'the device writes'];
const STATUS_BITS = [
  [1, 'ACKNOWLEDGE'],
  [2, 'DRIVER'],
  [4, 'DRIVER_OK'],
  [8, 'FEATURES_OK'],
  [16, 'SUSPEND'],
  [64, 'DEVICE_NEEDS_RESET'],
  [128, 'FAILED'],
];
/** Kinds of events that say that something is wrong. */
const TROUBLE = ['fault', 'finding', 'mismatch', 'failure', 'broken'];

/**
 * A time in tenths of microseconds, with a unit and at least three digits that count.
 * @param {number} ticks
 * @returns {string}
 */
export function timeText(ticks) {
  const micros = ticks / 10;
  const size = Math.abs(micros);
  if (size >= 999500) return `${(micros / 1e6).toFixed(size >= 1e7 ? 2 : 3)} s`;
  if (size >= 999.5) return `${(micros / 1e3).toFixed(size >= 99950 ? 1 : size >= 9995 ? 2 : 3)} ms`;
  return `${micros.toFixed(1)} µs`;
}

/**
 * @param {number} bytes
 * @returns {string}
 */
export function bytesText(bytes) {
  return `${bytes.toLocaleString('en-US')} ${bytes === 1 ? 'byte' : 'bytes'}`;
}

/**
 * Whether an event says that something is wrong.
 * @param {{ kind: string }} row
 * @returns {boolean}
 */
export function isTrouble(row) {
  return TROUBLE.includes(row.kind);
}

/**
 * One event in words, without its time, track and name.
 * @param {import('./run-data.js').PageEvent} event
 * @returns {string}
 */
export function describeEvent(event) {
  const { row, id, address, device, length, extra, text } = event;
  if (text !== '') return text;
  const parts = [];
  if (row.id === 'buffer' || row.id === 'head') parts.push(id < 0 ? 'no room' : `buffer ${id}`);
  else if (row.id === 'mapping') parts.push(id < 0 ? (row.kind === 'map' ? `failed (${id})` : '') : `mapping ${id}`);
  else if (row.id !== undefined && row.id.startsWith('1 '))
    parts.push(id === 1 ? row.id.slice(2).replace(/^where /, '') : '');
  else if (row.id !== undefined && row.id.startsWith('0 '))
    parts.push(id === 0 ? (row.id === '0 after a fault' ? 'refused' : row.id.slice(2)) : '');
  if (row.length === 'bytes written') parts.push(`${bytesText(length)} written`);
  else if (row.length !== undefined) parts.push(bytesText(length));
  if (row.address !== undefined && address !== undefined) parts.push(`guest 0x${address}`);
  if (row.deviceAddress === 'feature bits') parts.push(`bits 0x${device}`);
  else if (row.deviceAddress !== undefined && row.kind !== 'enableQueue') parts.push(`device 0x${device}`);
  if (row.extra !== undefined) parts.push(extraText(row, extra));
  return parts.filter((part) => part !== '').join(', ');
}

/**
 * @param {import('./run-data.js').Row} row
 * @param {number} extra
 * @returns {string}
 */
function extraText(row, extra) {
  if (row.kind === 'read' || row.kind === 'write') return '';
  if (row.extra === 'segments') return `${extra & 0xffff} segments, ${extra >>> 16} of them readable`;
  if (row.extra === 'direction') return DIRECTIONS[extra] ?? '';
  if (row.extra === 'device status') {
    const names = STATUS_BITS.filter(([bit]) => (extra & Number(bit)) !== 0).map(([, name]) => name);
    return names.length === 0 ? 'reset' : names.join(', ');
  }
  if (row.kind === 'wait') return ['notified', 'timeout', 'lost'][extra] ?? '';
  return `${row.extra} ${extra}`;
}
