import type { ConfigField, NegotiatedDevice } from '@virtio-platform/core';
import { readDeviceConfig } from '@virtio-platform/core/device';

/**
 * The fields of a device's configuration space as its driver half reads them, each by itself: a field exists only with
 * the feature that it belongs to (specification 1.4 section 2.5.1), and a device with few features may have a short
 * space. Each read throws {@link DeviceError} `ERR_DEVICE_CONFIG` where the device has less than the field, and
 * `ERR_DEVICE_CONFIG_UNSTABLE`.
 */
export class ConfigFields {
  readonly #device: NegotiatedDevice;

  constructor(device: NegotiatedDevice) {
    this.#device = device;
  }

  /** Whether the field exists: it belongs to no feature, or to one that was accepted. */
  has({ feature }: ConfigField): boolean {
    if (feature === undefined) return true;
    const { accepted } = this.#device;
    return typeof feature === 'number' ? accepted.has(feature) : feature.some((bit) => accepted.has(bit));
  }

  /** A number of 1, 2 or 4 bytes; `otherwise` where the field does not exist. */
  number(field: ConfigField, otherwise: number): number {
    if (!this.has(field)) return otherwise;
    const { view, littleEndian } = this.#read(field);
    if (field.width === 1) return view.getUint8(0);
    return field.width === 2 ? view.getUint16(0, littleEndian) : view.getUint32(0, littleEndian);
  }

  /** A number of 8 bytes; `otherwise` where the field does not exist. */
  bigint(field: ConfigField, otherwise: bigint): bigint {
    if (!this.has(field)) return otherwise;
    const { view, littleEndian } = this.#read(field);
    return view.getBigUint64(0, littleEndian);
  }

  /** The bytes of a field, or `undefined` where it does not exist. */
  bytes(field: ConfigField): Uint8Array | undefined {
    return this.has(field) ? new Uint8Array(this.#read(field).view.buffer) : undefined;
  }

  #read({ offset, width, byteOrder }: ConfigField): { readonly view: DataView; readonly littleEndian: boolean } {
    const { transport, byteOrder: otherwise } = this.#device;
    return { view: readDeviceConfig(transport, offset, width), littleEndian: (byteOrder ?? otherwise) === 'little' };
  }
}
