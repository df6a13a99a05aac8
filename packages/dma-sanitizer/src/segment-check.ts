import type { DmaLimits, DmaMapping } from '@virtio-platform/core/dma';
import type { ScatterList } from '@virtio-platform/core/queue';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { ByteFlag } from './byte-shadow.ts';
import { checkWritten, crossesBoundary } from './mapping-check.ts';
import type { FindingDetails, SanitizerState } from './sanitizer-state.ts';
import type { QueueOwner, TrackedMapping, TrackedSegment } from './tracked-mapping.ts';

/** Low words from here on, with a high word of all ones, result from arithmetic with a negative result of `map`. */
const FIRST_ERROR_WORD = 0xffff_ff00;

/**
 * Finds the live mapping of a premapped segment by its device address. Reports a segment without one, and one of
 * another queue.
 */
export function findMapping(
  state: SanitizerState,
  owner: QueueOwner,
  list: ScatterList,
  i: number,
  descriptor: number,
): TrackedMapping | undefined {
  const low = list.words[i * 2]!;
  const high = list.words[i * 2 + 1]!;
  const found = state.mappings.atDeviceAddress(low, high);
  const address = list.address[i]!;
  const failure = state.mappings.failureAt(address);
  const deviceAddress = (BigInt(high) << 32n) | BigInt(low);
  const details = { owner, descriptor, address, length: list.length[i]!, deviceAddress };
  const isOfBuffer = found?.overlaps(address, 1) === true;
  const isArithmetic = high === 0xffff_ffff && low >= FIRST_ERROR_WORD;
  if (!isOfBuffer && (failure !== undefined || isArithmetic)) {
    const reason = failure === undefined ? 'an error' : `${failure.reason}`;
    const what = `a request uses a buffer whose map failed with ${reason}: the address is of something else`;
    state.report('DMA-FAILED-MAP-USED', what, { ...details, mappedAt: failure?.at });
    return undefined;
  }
  if (found === undefined) {
    reportUnmapped(state, low, high, details);
    return undefined;
  }
  if (found.owner !== owner) {
    const { queue, device } = found.owner;
    const what = `a request of queue ${owner.queue} uses what is mapped for queue ${queue} of ${device}`;
    state.report('DMA-FOREIGN-MAPPING', what, { ...details, mapping: found });
  }
  return found;
}

/** Compares a descriptor with the mapping of its buffer and with the limits of the device. */
export function checkSegment(
  state: SanitizerState,
  segment: TrackedSegment,
  limits: DmaLimits,
  isPremapped: boolean,
): void {
  const { mapping, address, length, isWritable } = segment;
  const deviceAddress = mapping.deviceAddress + BigInt(address - mapping.address);
  if (length > limits.maxMappingSize) {
    const what = `a segment of ${length} bytes is longer than the ${limits.maxMappingSize} that one may have`;
    state.report('DMA-SEGMENT-LENGTH', what, { segment });
  }
  if (crossesBoundary(deviceAddress, length, limits.boundary)) {
    const what = `a segment crosses a multiple of ${limits.boundary} bytes`;
    state.report('DMA-SEGMENT-BOUNDARY', what, { segment });
  }
  if (!isPremapped) return;
  if (isWritable ? !mapping.deviceWrites : !mapping.deviceReads) {
    const [flag, may] = isWritable ? ['device-writable', 'read'] : ['device-readable', 'write'];
    const what = `a descriptor is ${flag}, and its buffer is mapped for the device to ${may} only`;
    state.report('DMA-DESCRIPTOR-DIRECTION', what, { segment });
  }
  const mapped = mapping.address + mapping.length - address;
  if (length > mapped) {
    const what = `a descriptor has ${length} bytes, and its mapping ends after ${mapped}`;
    state.report('DMA-DESCRIPTOR-LENGTH', what, { segment });
  }
  if (isWritable) return;
  const unsynced = state.shadow.find(address, length, ByteFlag.Unsynced);
  if (unsynced >= 0) {
    const what = `byte ${unsynced - address} of a buffer was written after it was last synced for the device`;
    state.report('DMA-UNSYNCED-WRITE', what, { segment });
  }
  if (state.seesDriver && mapping.kind === 'region') checkWritten(state, mapping, address, length);
}

function reportUnmapped(state: SanitizerState, low: number, high: number, details: FindingDetails): void {
  const mapping = state.mappings.releasedAt(low, high);
  const physical = high * 0x1_0000_0000 + low;
  if (mapping !== undefined) {
    const what = 'a request uses memory that was unmapped before';
    state.report('DMA-DESCRIBED-UNMAPPED', what, { ...details, mapping });
  } else if (state.memory.allocationAt(physical) !== undefined) {
    const what = `a request uses 0x${physical.toString(16)}, a physical address that no map gave out`;
    state.report('DMA-RAW-ADDRESS', what, details);
  } else {
    const what = 'a request uses a device address that no map gave out';
    state.report('DMA-DESCRIBED-UNMAPPED', what, details);
  }
}

const WORD = 0x1_0000_0000;

/**
 * Compares the device address of a segment with the tables of the platform: each page must lead to the buffer, or to
 * its one copy where buffers are bounced. Reports a mapping once. Returns the guest-physical address where the device
 * writes the segment, or -1 where it is unknown.
 */
export function checkTranslation(
  state: SanitizerState,
  segment: TrackedSegment,
  resolve: NonNullable<DmaMapping['resolve']>,
): number {
  const { mapping, address, deviceAddress } = segment;
  const { isBounced } = mapping;
  // A descriptor that is longer than its mapping is a finding of its own.
  const length = Math.min(segment.length, mapping.address + mapping.length - address);
  const low = Number(deviceAddress & 0xffff_ffffn);
  const high = Number(deviceAddress >> 32n);
  const start = isBounced ? resolve(low, high) : address;
  // A platform maps pages, so one byte of each page is enough.
  for (let at = 0; at < length; at += PAGE_SIZE - ((address + at) % PAGE_SIZE)) {
    const sum = low + at;
    const found = resolve(sum >>> 0, sum < WORD ? high : high + 1);
    if (found >= 0 && found === start + at) continue;
    if (!mapping.isAstray) reportWrongAddress(state, segment, at, found);
    mapping.isAstray = true;
    break;
  }
  return start;
}

function reportWrongAddress(state: SanitizerState, segment: TrackedSegment, at: number, found: number): void {
  const wrong = segment.deviceAddress + BigInt(at);
  const where = found < 0 ? 'leads nowhere' : `leads to 0x${found.toString(16)}`;
  const place = `byte ${at} of a buffer that is given to the device`;
  const what = `device address 0x${wrong.toString(16)}, for ${place}, ${where}`;
  state.report('DMA-NOT-TRANSLATED', what, { segment, deviceAddress: wrong });
}
