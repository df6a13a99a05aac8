import { DeviceError } from '@virtio-platform/core';
import { CONFIG_HEADER_BYTES, encodeConfig } from './protocol.ts';
import type { VhostUserConnection } from './vhost-user-connection.ts';

/** The most that one message carries (VHOST_USER_MAX_CONFIG_SIZE). */
const LARGEST_CONFIG = 256;

/**
 * Reads device configuration. Always from byte 0 on, as QEMU does: libvhost-user devices ignore the offset. Throws
 * {@link DeviceError} `ERR_DEVICE_CONFIG` when the device has not that many bytes.
 */
export function readBackEndConfig(connection: VhostUserConnection, offset: number, target: Uint8Array): void {
  const end = offset + target.length;
  checkRange(offset, end);
  const request = encodeConfig(0, new Uint8Array(end));
  // A back-end that has less answers without a payload, so that what it has is not known.
  const reply = connection.query('GET_CONFIG', request, 0, request.length);
  if (reply.byteLength !== request.length) {
    throw new DeviceError('ERR_DEVICE_CONFIG', `the back-end does not have ${end} bytes of configuration`, {
      hint: 'ask only for fields of features that were negotiated; a block device of QEMU 7.2 has 60 bytes',
    });
  }
  target.set(new Uint8Array(reply.buffer, CONFIG_HEADER_BYTES + offset, target.length));
}

/** Writes device configuration. What can be written is the back-end's decision: some close the connection. */
export function writeBackEndConfig(connection: VhostUserConnection, offset: number, source: Uint8Array): void {
  checkRange(offset, offset + source.length);
  connection.command('SET_CONFIG', encodeConfig(offset, source));
}

function checkRange(offset: number, end: number): void {
  if (offset >= 0 && end <= LARGEST_CONFIG) return;
  throw new RangeError(`bytes ${offset}..${end} are outside ${LARGEST_CONFIG} bytes of configuration`);
}
