import { DeviceError } from '@virtio-platform/core';
import { CONFIG_HEADER_BYTES, encodeConfig } from './protocol.ts';
import type { VhostUserConnection } from './vhost-user-connection.ts';

/** The most that one message carries (VHOST_USER_MAX_CONFIG_SIZE). */
const LARGEST_CONFIG = 256;

/** The configuration of a device, from byte 0 on. */
export interface DeviceConfig {
  /** Throws `RangeError` or {@link DeviceError} for bytes that it does not have. */
  read(offset: number, target: Uint8Array): void;
  /** What can be written is the device's decision. */
  write(offset: number, source: Uint8Array): void;
}

/** The configuration that a back-end has. Some close the connection when a field is written that they do not like. */
export class BackEndConfig implements DeviceConfig {
  readonly #connection: VhostUserConnection;

  constructor(connection: VhostUserConnection) {
    this.#connection = connection;
  }

  /** Always reads from byte 0 on, as QEMU does: libvhost-user devices ignore the offset. Throws `ERR_DEVICE_CONFIG`. */
  read(offset: number, target: Uint8Array): void {
    const end = offset + target.length;
    checkRange(offset, end);
    const request = encodeConfig(0, new Uint8Array(end));
    // A back-end that has less answers without a payload, so that what it has is not known.
    const reply = this.#connection.query('GET_CONFIG', request, 0, request.length);
    if (reply.byteLength !== request.length) {
      throw new DeviceError('ERR_DEVICE_CONFIG', `the back-end does not have ${end} bytes of configuration`, {
        hint: 'ask only for fields of features that were negotiated; a block device of QEMU 7.2 has 60 bytes',
      });
    }
    target.set(new Uint8Array(reply.buffer, CONFIG_HEADER_BYTES + offset, target.length));
  }

  write(offset: number, source: Uint8Array): void {
    checkRange(offset, offset + source.length);
    this.#connection.command('SET_CONFIG', encodeConfig(offset, source));
  }
}

function checkRange(offset: number, end: number): void {
  if (offset >= 0 && end <= LARGEST_CONFIG) return;
  throw new RangeError(`bytes ${offset}..${end} are outside ${LARGEST_CONFIG} bytes of configuration`);
}
