/** The byte order of ring fields: little-endian on the modern interface, the guest's own on the legacy one. Section 2.7.3. */
export type ByteOrder = 'little' | 'big';

/** Reverses the bytes of a 16-bit value. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

/** Reverses the bytes of a 32-bit value. */
export function swap32(value: number): number {
  return (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}
