import type { DescriptorChain } from './descriptor-chain.ts';

/**
 * Is told by a device's end what it does, once it is done: for a record of what happened. Counts of buffers run free in
 * 32 bits. Hot: no allocation.
 */
export interface DeviceQueueRecorder {
  /** How many buffers that are popped or pushed between two flushes it wants to be told of one by one. */
  readonly each: number;
  /** The buffer in `chain` was taken from the ring, as the last one of `popped`. */
  popped(chain: DescriptorChain, popped: number): void;
  /** A buffer was returned, as the last one of `pushed`. The device wrote `written` bytes. */
  pushed(head: number, written: number, pushed: number): void;
  /** The buffers up to `pushed` are shown to the driver. */
  flushed(isWanted: boolean, popped: number, pushed: number): void;
}
