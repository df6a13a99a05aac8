import assert from 'node:assert/strict';
import type { DeviceAccess, DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DmaDirection, DmaMapping, DmaRegion } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { skipCheck } from '../../contract-check.ts';

/** A mapping to check, fresh for each check, in guest memory from which only its set-up allocated. */
export interface DmaMappingSubject {
  readonly memory: GuestMemory;
  readonly mapping: DmaMapping;
  /** The device's view through the mapping; `undefined` where there is no device side. */
  readonly device?: DeviceAddressSpace | undefined;
  /**
   * Whether the device reaches exactly what is mapped, in its direction, and only until `unmap` and `release`: false
   * for physical addresses, a fixed window or a bounce pool.
   */
  readonly revokes: boolean;
  /** Why {@link revokes} is what it is, for skipped checks and messages. */
  readonly because?: string | undefined;
  /** See `PlatformTraits.writableIsReadable`. */
  readonly writableIsReadable?: boolean | undefined;
  /** See `PlatformTraits.keepsBorrowed`. */
  readonly keepsBorrowed?: boolean | undefined;
  /** Disposes what the set-up made around the mapping. Called once, after `mapping.dispose()`. */
  dispose(): void;
}

/** A subject, with {@link BUFFER_PAGES} pages of zeroed guest memory to map. */
export interface DmaMappingTrial extends DmaMappingSubject {
  /** Guest-physical address of the pages. */
  readonly buffer: number;
}

const ONE_ZERO = new Uint8Array(1);

/** The pages of {@link DmaMappingTrial.buffer}. */
export const BUFFER_PAGES = 8;
/** A word value that no mapping writes by chance: it shows that a word was not written. */
export const UNTOUCHED = 0xa5a5_5a5a;

/** Offset and length of syncs outside of a mapping of 512 bytes: behind the end, negative, and not whole bytes. */
export const RANGES_OUTSIDE_512: readonly (readonly [offset: number, length: number])[] = [
  [0, 513],
  [512, 1],
  [4096, 4096],
  [-1, 4],
  [4, -1],
  [0.5, 4],
  [0, 4.5],
  [NaN, 4],
  [0, NaN],
];

/** A live mapping of a trial. */
export interface MappedBuffer {
  readonly id: number;
  readonly address: bigint;
}

/** Maps a buffer that has to fit. */
export function mapBuffer(mapping: DmaMapping, address: number, length: number, direction: DmaDirection): MappedBuffer {
  const words = new Uint32Array(2);
  const id = mapping.map(address, length, direction, words, 0);
  assert.ok(id >= 0, `map of ${length} bytes at 0x${address.toString(16)} succeeds, and does not return ${id}`);
  return { id, address: addressIn(words) };
}

/** The device address of a region's byte. */
export function regionAddress(region: DmaRegion, offset = 0): bigint {
  const words = new Uint32Array(2);
  region.writeDeviceAddress(offset, words, 0);
  return addressIn(words);
}

/** The device address in two words. */
export function addressIn(words: Uint32Array): bigint {
  return (BigInt(words[1]!) << 32n) | BigInt(words[0]!);
}

/** A device address as two words. */
export function wordsOf(address: bigint): [low: number, high: number] {
  return [Number(address & 0xffff_ffffn), Number((address >> 32n) & 0xffff_ffffn)];
}

/** A device address for messages. */
export function hex(address: bigint | number): string {
  return `0x${address.toString(16)}`;
}

/** The device side of a trial. Skips the check where there is none. */
export function deviceOf({ device }: DmaMappingSubject): DeviceAddressSpace {
  return device ?? skipCheck('the subject has no device side');
}

/** Skips the check where the device keeps its access, with the reason. */
export function requireRevocation(trial: DmaMappingSubject): void {
  if (trial.revokes) return;
  skipCheck(trial.because ?? `the subject says that the device keeps its access on the path ${trial.mapping.path}`);
}

/** What the device reads; `undefined` where the access is refused. */
export function deviceRead(device: DeviceAddressSpace, address: bigint, length: number): Uint8Array | undefined {
  const target = new Uint8Array(length);
  return device.read(...wordsOf(address), target, 0, length) ? target : undefined;
}

/** Whether the device's write is taken. */
export function deviceWrite(device: DeviceAddressSpace, address: bigint, source: Uint8Array): boolean {
  return device.write(...wordsOf(address), source, 0, source.length);
}

/** Whether the device reaches one byte, which it borrows. */
export function reaches(device: DeviceAddressSpace, address: bigint, access: DeviceAccess): boolean {
  return device.borrow(...wordsOf(address), 1, access) >= 0;
}

/**
 * Whether the device reaches one byte of what a trial takes away later: as {@link reaches} does, but for a device that
 * keeps what it borrows. That one reads the byte, or writes 0 to it.
 */
export function reachesForNow(
  { keepsBorrowed }: DmaMappingSubject,
  device: DeviceAddressSpace,
  address: bigint,
  access: DeviceAccess,
): boolean {
  if (keepsBorrowed !== true) return reaches(device, address, access);
  return access === 'read' ? deviceRead(device, address, 1) !== undefined : deviceWrite(device, address, ONE_ZERO);
}

/** The guest-physical address that the mapping's tables give; the mapping has `resolve`. */
export function resolveAt(mapping: DmaMapping, address: bigint): number {
  return mapping.resolve!(...wordsOf(address));
}

/** Bytes that tell their place, different for each `seed`. */
export function pattern(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) * 3 + seed * 29 + 1) & 0xff);
}
