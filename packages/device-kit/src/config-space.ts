import { configSize, type ConfigField, type ConfigTable } from '@virtio-platform/core';
import type { ByteOrder } from '@virtio-platform/core/queue';

/** The configuration space of a device half, which writes it field by field. All bytes are zero at first. */
export class ConfigSpace {
  /** All bytes, from byte 0 on. */
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #littleEndian: boolean;

  constructor(table: ConfigTable, byteOrder: ByteOrder) {
    this.bytes = new Uint8Array(configSize(table));
    this.#view = new DataView(this.bytes.buffer);
    this.#littleEndian = byteOrder === 'little';
  }

  /** Sets a number of 1, 2, 4 or 8 bytes. Throws `RangeError` for a field of another width. */
  set({ offset, width, byteOrder }: ConfigField, value: number | bigint): void {
    const littleEndian = byteOrder === undefined ? this.#littleEndian : byteOrder === 'little';
    if (width === 1) this.#view.setUint8(offset, Number(value));
    else if (width === 2) this.#view.setUint16(offset, Number(value), littleEndian);
    else if (width === 4) this.#view.setUint32(offset, Number(value), littleEndian);
    else if (width === 8) this.#view.setBigUint64(offset, BigInt(value), littleEndian);
    else throw new RangeError(`a field of ${width} bytes is no number`);
  }

  /** Sets the bytes of a field from its start on. */
  setBytes({ offset }: ConfigField, bytes: Uint8Array): void {
    this.bytes.set(bytes, offset);
  }
}
