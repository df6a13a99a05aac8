/** Writes 32 bits, big-endian. Hot. */
export function put32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = (value >>> 16) & 0xff;
  bytes[at + 2] = (value >>> 8) & 0xff;
  bytes[at + 3] = value & 0xff;
}

/** Writes a number of at most 53 bits as 64, big-endian. Hot. */
export function put64(bytes: Uint8Array, at: number, value: number): void {
  put32(bytes, at, Math.floor(value / 0x1_0000_0000));
  put32(bytes, at + 4, value % 0x1_0000_0000);
}

/** Reads 16 bits, big-endian. Hot. */
export function get16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** Reads 32 bits, big-endian. Hot. */
export function get32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Reads 64 bits, big-endian; beyond 53 bits the number is near. Hot. */
export function get64(bytes: Uint8Array, at: number): number {
  return get32(bytes, at) * 0x1_0000_0000 + get32(bytes, at + 4);
}
