import { DeviceError, type VhostUserFrontEnd } from '@virtio-platform/core';
import { CONFIG_HEADER_BYTES, encodeConfig } from '@virtio-platform/vhost-user';
import type { VhostUserConnection } from './vhost-user-connection.ts';
/** The most that one message carries (VHOST_USER_MAX_CONFIG_SIZE). */
const LARGEST_CONFIG = 256;

/** The configuration of a device, from byte 0 on. */
export interface DeviceConfig {
  /** Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for bytes that it does not have. */
  read(offset: number, target: Uint8Array): void;
  /** What can be written is the device's decision. Throws {@link DeviceError} `ERR_DEVICE_CONFIG`. */
  write(offset: number, source: Uint8Array): void;
  /** The device said that its configuration changed: reads again what was read so far. Throws {@link DeviceError}. */
  changed(): void;
}

/** The configuration that a back-end has. Some close the connection when a field is written that they do not like. */
export class BackEndConfig implements DeviceConfig {
  readonly #connection: VhostUserConnection;
  /** The bytes from 0 on that were read last. */
  #known: Uint8Array = new Uint8Array(0);
  /** Whether the back-end says when they change, so that it need not be asked again. */
  readonly #isNotified: boolean;

  constructor(connection: VhostUserConnection, isNotified: boolean) {
    this.#connection = connection;
    this.#isNotified = isNotified;
  }

  read(offset: number, target: Uint8Array): void {
    const end = offset + target.length;
    checkRange(offset, end, LARGEST_CONFIG);
    if (!this.#isNotified || end > this.#known.length) this.#ask(end);
    target.set(this.#known.subarray(offset, end));
  }

  write(offset: number, source: Uint8Array): void {
    checkRange(offset, offset + source.length, LARGEST_CONFIG);
    this.#connection.command('SET_CONFIG', encodeConfig(offset, source));
    this.#known = new Uint8Array(0);
  }

  changed(): void {
    const { length } = this.#known;
    // A read that fails leaves no byte that could be taken for a new one.
    this.#known = new Uint8Array(0);
    if (length > 0) this.#ask(length);
  }

  /** Always reads from byte 0 on, as QEMU does: libvhost-user devices ignore the offset. */
  #ask(end: number): void {
    const request = encodeConfig(0, new Uint8Array(end));
    // A back-end that has less answers without a payload, so that what it has is not known.
    const reply = this.#connection.query('GET_CONFIG', request, 0, request.length);
    if (reply.byteLength !== request.length) {
      throw new DeviceError(
        'ERR_DEVICE_CONFIG',
        `GET_CONFIG: the back-end does not have ${end} bytes of configuration`,
        {
          hint: 'ask only for fields of features that were negotiated; a block device of QEMU 7.2 has 60 bytes',
        },
      );
    }
    const [offset, size] = [reply.getUint32(0, true), reply.getUint32(4, true)];
    if (offset !== 0 || size !== end) {
      throw new DeviceError(
        'ERR_DEVICE_CONFIG',
        `GET_CONFIG: the back-end answers with ${size} bytes from ${offset} on, not with ${end} bytes from 0 on`,
        { hint: 'the answer has the offset and the size of the question (vhost-user, "Virtio device config space")' },
      );
    }
    this.#known = new Uint8Array(reply.buffer, CONFIG_HEADER_BYTES, end);
  }
}

/** The configuration of a device without any, or of a back-end that does not let it be read. */
export class NoConfig implements DeviceConfig {
  read(offset: number, target: Uint8Array): void {
    checkRange(offset, offset + target.length, 0);
  }

  write(offset: number, source: Uint8Array): void {
    checkRange(offset, offset + source.length, 0);
  }

  changed(): void {}
}

/** Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for bytes outside the `size` bytes of a configuration. */
export function checkRange(offset: number, end: number, size: number): void {
  if (offset >= 0 && end <= size) return;
  const what = `bytes ${offset}..${end} are outside the ${size} bytes of configuration that there are`;
  throw new DeviceError('ERR_DEVICE_CONFIG', what, { hint: 'ask only for fields of features that were negotiated' });
}

/** The configuration that the front-end itself has, where a back-end has none: the driver may not write it. */
export class FrontEndConfig implements DeviceConfig {
  readonly #config: Uint8Array;

  constructor({ config }: VhostUserFrontEnd) {
    this.#config = config;
  }

  read(offset: number, target: Uint8Array): void {
    checkRange(offset, offset + target.length, this.#config.length);
    target.set(this.#config.subarray(offset, offset + target.length));
  }

  write(_offset: number, _source: Uint8Array): void {}

  changed(): void {}
}
