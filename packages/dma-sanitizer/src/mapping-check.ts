import { CACHE_LINE_SIZE, DMA_TOO_LARGE, DMA_UNREACHABLE, type DmaLimits } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { ByteFlag } from './byte-shadow.ts';
import type { FailedMap } from './mapping-registry.ts';
import type { FindingDetails, SanitizerState } from './sanitizer-state.ts';
import { NO_CHECKSUM, type TrackedMapping } from './tracked-mapping.ts';
import { CallStack } from './call-stack.ts';

/** The number of mappings of one cache line that Linux counts (ACTIVE_CACHELINE_MAX_OVERLAP). */
const MOST_OVERLAPS = 7;

const { Owned, Stale, Unsynced, Shared, Fetched, Written, Private, DeviceOnly } = ByteFlag;

/** Checks a new mapping: its memory, its overlap with other mappings, the limits of the platform, and its content. */
export function checkMap(state: SanitizerState, mapping: TrackedMapping, limits: DmaLimits): void {
  if (mapping.kind !== 'coherent') {
    checkMemory(state, mapping);
    checkOverlap(state, mapping);
    checkContent(state, mapping);
  }
  checkLimits(state, mapping, limits);
}

/** Records that a mapping gives its bytes to the device. */
export function giveToDevice(
  state: SanitizerState,
  { kind, address, length, deviceReads, deviceWrites }: TrackedMapping,
): void {
  if (kind === 'coherent') return;
  state.shadow.clear(address, length, Unsynced | Shared | Fetched | (deviceReads ? Private : 0));
  const bits = (deviceWrites && !deviceReads ? DeviceOnly : 0) | (kind === 'buffer' ? Owned : 0);
  state.shadow.set(address, length, bits | (kind === 'buffer' && deviceWrites ? Stale : 0));
}

/** Reports a failed `map` that fails again however often the driver tries. */
export function checkFailedMap(state: SanitizerState, failure: FailedMap, limits: DmaLimits): void {
  const { owner, address, length, reason } = failure;
  if (reason === DMA_UNREACHABLE && !state.memory.contains(address, length)) {
    reportInvalid(state, address, length, owner);
  } else if (reason === DMA_TOO_LARGE) {
    reportTooLarge(state, limits, length, { owner, address, length });
  }
}

function reportTooLarge(state: SanitizerState, limits: DmaLimits, length: number, details: FindingDetails): void {
  const what = `${length} bytes are mapped at once under ${state.options.name}, which allows ${limits.maxMappingSize}`;
  state.report('DMA-LIMIT', what, details);
}

/** Reports a mapping of memory that the guest does not have for buffers. */
export function reportInvalid(
  state: SanitizerState,
  address: number,
  length: number,
  owner: TrackedMapping['owner'],
): void {
  const what = `0x${address.toString(16)} is mapped, where the guest has no memory for buffers`;
  state.report('DMA-MAP-INVALID', what, { owner, address, length });
}

function checkMemory(state: SanitizerState, mapping: TrackedMapping): void {
  const { address, length, owner } = mapping;
  if (address < PAGE_SIZE) return reportInvalid(state, address, length, owner);
  const ring = state.mappings.overlapping(address, length).find(({ kind }) => kind === 'coherent');
  if (ring !== undefined) {
    const what = `memory of queue ${ring.owner.queue}'s own, such as its ring, is mapped as a buffer`;
    return state.report('DMA-MAP-RING', what, { mapping });
  }
  const allocation = state.memory.allocationAt(address);
  if (allocation === undefined) {
    return state.report('DMA-MAP-UNALLOCATED', 'memory is mapped that was never allocated', { mapping });
  }
  const allocated = allocation.address + allocation.length - address;
  if (length <= allocated) return;
  const what = `${length} bytes are mapped, and what was allocated ends after ${allocated}`;
  state.report('DMA-MAP-SPAN', what, { mapping });
}

function checkOverlap(state: SanitizerState, mapping: TrackedMapping): void {
  const first = lineOf(mapping.address);
  const lines = (lineOf(mapping.address + mapping.length - 1) - first + 1) * CACHE_LINE_SIZE;
  const sharing = state.mappings
    .overlapping(first * CACHE_LINE_SIZE, lines)
    .filter((other) => other.kind !== 'coherent' && (other.deviceWrites || mapping.deviceWrites))
    // The segments of one request change owner together, so they may share a line as long as they share no byte.
    .filter((other) => !isSameRequest(mapping, other) || other.overlaps(mapping.address, mapping.length));
  const [other] = sharing;
  if (other === undefined) return;
  const isFirst = lineOf(other.address) === first && other.deviceWrites && mapping.deviceWrites;
  const line = isFirst ? 'its first cache line' : 'a cache line';
  const shared = other.overlaps(mapping.address, mapping.length) ? 'bytes' : line;
  const range = `0x${other.address.toString(16)}+${other.length}`;
  const what = `a buffer is mapped that shares ${shared} with ${range}, which is mapped already, and the device writes`;
  state.report(isFirst ? 'DMA-OVERLAP' : 'DMA-OVERLAP-LINE', what, { mapping, mappedAt: other.mappedAt });
  const onFirst = sharing.filter(({ address, length }) => {
    return lineOf(address) <= first && lineOf(address + length - 1) >= first;
  });
  if (onFirst.length !== MOST_OVERLAPS) return;
  const count = `a cache line is mapped ${onFirst.length + 1} times at once`;
  state.report('DMA-OVERLAP-COUNT', count, { mapping, mappedAt: other.mappedAt });
}

function isSameRequest(one: TrackedMapping, other: TrackedMapping): boolean {
  return one.request !== 0 && one.request === other.request;
}

function lineOf(address: number): number {
  return Math.floor(address / CACHE_LINE_SIZE);
}

function checkContent(state: SanitizerState, mapping: TrackedMapping): void {
  const { kind, deviceReads, isBounced } = mapping;
  if (!deviceReads) {
    if (isBounced && holdsOldContent(state, mapping)) {
      const what = 'a buffer for the device to write still holds what the driver had in it, and the device sees it';
      state.report('DMA-OLD-CONTENT', what, { mapping });
    }
    return;
  }
  if (kind === 'buffer' && state.seesDriver) checkWritten(state, mapping);
}

/** Checks that every byte that the device may read was written since it was allocated. */
export function checkWritten(
  state: SanitizerState,
  mapping: TrackedMapping,
  address: number = mapping.address,
  length: number = mapping.length,
): void {
  const at = state.shadow.findWithout(address, length, Written);
  if (at < 0) return;
  const what = `byte ${at - address} of a buffer that the device reads was never written since it was allocated`;
  state.report('DMA-UNINITIALISED', what, { mapping, address, length });
}

/**
 * Whether private bytes of the driver are in a buffer. Equal bytes, such as zeros or a fill pattern, reveal nothing.
 */
function holdsOldContent({ shadow, memory }: SanitizerState, { address, length }: TrackedMapping): boolean {
  const first = shadow.find(address, length, Private);
  if (first < 0) return false;
  const value = memory.u8[first];
  for (let at = first; at < address + length; at++) {
    if ((shadow.get(at) & Private) !== 0 && memory.u8[at] !== value) return true;
  }
  return false;
}

function checkLimits(state: SanitizerState, mapping: TrackedMapping, limits: DmaLimits): void {
  const { deviceAddress, length, kind } = mapping;
  const { name } = state.options;
  const end = deviceAddress + BigInt(length);
  const isBuffer = kind === 'buffer';
  if (end > 1n << BigInt(limits.addressBits)) {
    state.report('DMA-LIMIT', `a device address has more than the ${limits.addressBits} bits of ${name}`, { mapping });
  }
  if (isBuffer && length > limits.maxMappingSize) {
    reportTooLarge(state, limits, length, { mapping });
  }
  const { minAlignMask = 0 } = limits;
  if (isBuffer && (deviceAddress & BigInt(minAlignMask)) !== (BigInt(mapping.address) & BigInt(minAlignMask))) {
    const what = `a device address does not keep the low bits 0x${minAlignMask.toString(16)} of the buffer's`;
    state.report('DMA-LIMIT', `${what}, as the device needs`, { mapping });
  }
  if (!isBuffer && deviceAddress % BigInt(limits.alignment) !== 0n) {
    state.report('DMA-LIMIT', `a region is not aligned to ${limits.alignment} bytes, as ${name} has it`, { mapping });
  }
  if (isBuffer && crossesBoundary(deviceAddress, length, limits.boundary)) {
    const what = `a mapping crosses a multiple of ${limits.boundary} bytes, which ${name} does not allow`;
    state.report('DMA-LIMIT', what, { mapping });
  }
}

/** Whether a range of device addresses crosses a multiple of `boundary` bytes; `Infinity` for no boundary. */
export function crossesBoundary(deviceAddress: bigint, length: number, boundary: number): boolean {
  if (boundary === Infinity) return false;
  const size = BigInt(boundary);
  return deviceAddress / size !== (deviceAddress + BigInt(length) - 1n) / size;
}

/** Checks and records that part of a live mapping is synced for the driver. Offset and length are bytes. */
export function syncForCpu(state: SanitizerState, mapping: TrackedMapping, offset: number, length: number): void {
  if (!checkRange(state, mapping, offset, length)) return;
  mapping.syncedAt = new CallStack();
  if (!mapping.deviceWrites) {
    const what = 'a buffer that the device only reads is synced for the driver';
    state.report('DMA-SYNC-FOR-CPU', what, { mapping });
  }
  const at = mapping.address + offset;
  const isBuffer = mapping.kind === 'buffer';
  mapping.checksum = NO_CHECKSUM;
  state.shadow.clear(at, length, Stale | Fetched | (isBuffer ? Owned : 0));
  if (isBuffer && mapping.deviceWrites && !mapping.isBounced) state.shadow.set(at, length, Shared);
}

/** Checks and records that part of a live mapping is synced for the device. Offset and length are bytes. */
export function syncForDevice(state: SanitizerState, mapping: TrackedMapping, offset: number, length: number): void {
  if (!checkRange(state, mapping, offset, length)) return;
  mapping.syncedAt = new CallStack();
  if (!mapping.deviceReads) {
    const what = 'a buffer that the device only writes is synced for the device';
    state.report('DMA-SYNC-FOR-DEVICE', what, { mapping });
  }
  const at = mapping.address + offset;
  state.shadow.clear(at, length, Unsynced | Private);
  if (mapping.kind !== 'buffer') return;
  state.shadow.clear(at, length, Shared | Fetched);
  state.shadow.set(at, length, Owned | (mapping.deviceWrites ? Stale : 0));
  if (!mapping.deviceWrites) mapping.checksum = state.checksum(mapping.address, mapping.length);
}

function checkRange(state: SanitizerState, mapping: TrackedMapping, offset: number, length: number): boolean {
  if (offset >= 0 && length >= 0 && offset + length <= mapping.length) return true;
  const what = `bytes ${offset}..${offset + length} are synced in a mapping of ${mapping.length}`;
  state.report('DMA-SYNC-RANGE', what, { mapping });
  return false;
}
