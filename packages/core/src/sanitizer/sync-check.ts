import { ByteFlag } from './byte-shadow.ts';
import { CallStack } from './call-stack.ts';
import type { SanitizerState } from './sanitizer-state.ts';
import { NO_CHECKSUM, type TrackedMapping } from './tracked-mapping.ts';

const { Owned, Stale, Unsynced, Shared, Fetched, Private } = ByteFlag;

/** Part of a live mapping is to be made visible to the driver. */
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

/** Part of a live mapping is to be made visible to the device. */
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
