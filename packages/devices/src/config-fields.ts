import { readDeviceConfig, type Transport } from '@virtio-platform/core/device';
import type { FeatureSet } from '@virtio-platform/core/features';
import type { ByteOrder } from '@virtio-platform/core/queue';

/**
 * The fields of a device's configuration space, each read by itself: a field exists only with the feature that it
 * belongs to (specification 1.4 section 2.5.1), and a device with few features may have a short space. Each read throws
 * {@link DeviceError} `ERR_DEVICE_CONFIG` where the device has less than the field, and `ERR_DEVICE_CONFIG_UNSTABLE`.
 */
export class ConfigFields {
  readonly #transport: Transport;
  readonly #accepted: FeatureSet;
  readonly #littleEndian: boolean;

  constructor(transport: Transport, accepted: FeatureSet, byteOrder: ByteOrder) {
    this.#transport = transport;
    this.#accepted = accepted;
    this.#littleEndian = byteOrder === 'little';
  }

  /** 16 bits at `offset`, or `otherwise` without `feature`. */
  u16(offset: number, feature: number, otherwise: number): number {
    if (!this.#accepted.has(feature)) return otherwise;
    return readDeviceConfig(this.#transport, offset, 2).getUint16(0, this.#littleEndian);
  }

  /** 32 bits at `offset`, or `otherwise` without `feature`. */
  u32(offset: number, feature: number, otherwise: number): number {
    if (!this.#accepted.has(feature)) return otherwise;
    return readDeviceConfig(this.#transport, offset, 4).getUint32(0, this.#littleEndian);
  }

  /** 64 bits at `offset`, of a field that every device has. */
  u64(offset: number): bigint {
    return readDeviceConfig(this.#transport, offset, 8).getBigUint64(0, this.#littleEndian);
  }

  /** `length` bytes from `offset` on, or `undefined` without `feature`. */
  bytes(offset: number, length: number, feature: number): Uint8Array | undefined {
    if (!this.#accepted.has(feature)) return undefined;
    return new Uint8Array(readDeviceConfig(this.#transport, offset, length).buffer);
  }
}
