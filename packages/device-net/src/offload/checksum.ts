import { IP_UDP, readBig16, writeBig16, type PacketLayers } from './packet-layers.ts';

/** Adds `length` bytes to a sum of 16-bit words in network byte order; an odd last byte counts as a high one. Hot. */
export function addToSum(sum: number, bytes: Uint8Array, at: number, length: number): number {
  const end = at + length;
  let i = at;
  for (; i + 1 < end; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  return i < end ? sum + (bytes[i]! << 8) : sum;
}

/** A sum of at most 2^47 folded to the 16 bits of one's complement. Hot. */
export function foldSum(sum: number): number {
  while (sum > 0xffff) sum = (sum % 0x1_0000) + Math.floor(sum / 0x1_0000);
  return sum;
}

/** The Internet checksum (RFC 1071) of `length` bytes. Hot. */
export function checksum(bytes: Uint8Array, at: number, length: number): number {
  return ~foldSum(addToSum(0, bytes, at, length)) & 0xffff;
}

/**
 * The sum of the pseudo-header of TCP and UDP (RFC 9293 and RFC 8200), not complemented: what a driver puts into the
 * checksum field of a packet with NEEDS_CSUM. `length` is that of transport header and data. Hot.
 */
export function pseudoHeaderSum(frame: Uint8Array, layers: PacketLayers, length: number): number {
  const isIpv4 = layers.version === 4;
  const sum = addToSum(length >>> 16, frame, layers.network + (isIpv4 ? 12 : 8), isIpv4 ? 8 : 32);
  return foldSum(sum + (length & 0xffff) + layers.protocol);
}

/**
 * Computes the checksum that a packet with NEEDS_CSUM leaves to the device: over everything from `start` on, with what
 * is in the field (specification 1.4 section 5.1.6.2.1). A checksum of UDP that is 0 is sent as 0xffff (RFC 768). The
 * field has to be inside of the frame. Hot.
 */
export function completeChecksum(frame: Uint8Array, length: number, start: number, offset: number): void {
  const sum = checksum(frame, start, length - start);
  // Neither TCP nor UDP can have a sum of all zeros, so that 0xffff means the same to both.
  writeBig16(frame, start + offset, sum === 0 ? 0xffff : sum);
}

/** Whether the TCP or UDP checksum of a frame is right; a UDP checksum of 0 over IPv4 counts as right. */
export function hasRightChecksum(frame: Uint8Array, layers: PacketLayers, end: number): boolean {
  const { transport, protocol, version } = layers;
  if (protocol === IP_UDP && version === 4 && readBig16(frame, transport + 6) === 0) return true;
  const length = end - transport;
  const sum = pseudoHeaderSum(frame, layers, length);
  return foldSum(addToSum(sum, frame, transport, length)) === 0xffff;
}
