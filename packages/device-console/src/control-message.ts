import { CONSOLE_CONTROL_SIZE } from './layout.ts';

/** The bytes of a control message (specification 1.4 section 5.3.6.2), with what follows it for some events. Cold. */
export function controlMessage(
  littleEndian: boolean,
  id: number,
  event: number,
  value: number,
  behind: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const message = new Uint8Array(CONSOLE_CONTROL_SIZE + behind.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, id, littleEndian);
  view.setUint16(4, event, littleEndian);
  view.setUint16(6, value, littleEndian);
  message.set(behind, CONSOLE_CONTROL_SIZE);
  return message;
}
