import type { DmaLimits } from '../dma/dma-mapping.ts';
import type { ScatterList } from '../queue/driver/scatter-list.ts';
import { ByteFlag } from './byte-shadow.ts';
import { checkWritten, crossesBoundary } from './map-check.ts';
import type { FindingDetails, SanitizerState } from './sanitizer-state.ts';
import type { QueueOwner, TrackedMapping, TrackedSegment } from './tracked-mapping.ts';
/** Device addresses from here on are what arithmetic makes of a negative result. */
const FIRST_ERROR_WORD = 0xffff_ff00;

/** The live mapping that the device address of a premapped segment belongs to. Says so where there is none, or it is another queue's. */
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

/** What a descriptor says of a buffer, against how it is mapped and what the device takes. */
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
  const room = mapping.address + mapping.length - address;
  if (length > room) {
    const what = `a descriptor has ${length} bytes, and its mapping ends after ${room}`;
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
