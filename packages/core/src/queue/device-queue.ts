import type { BrokenReason } from './broken-reason.ts';
import type { DescriptorChain } from './descriptor-chain.ts';
import type { DeviceQueueState } from './device-queue-state.ts';

/**
 * The device's end of a virtqueue. A driver that breaks the rules breaks the queue, once, with a typed reason; the device
 * then sets DEVICE_NEEDS_RESET.
 */
export interface DeviceQueue {
  readonly size: number;
  readonly broken: BrokenReason | undefined;
  /** Buffers popped and not pushed back. At most the queue size, however the driver behaves. */
  readonly inFlight: number;

  /** Takes the next available buffer. Returns false when there is none, or the queue is broken. Hot. */
  pop(chain: DescriptorChain): boolean;

  /** Returns a buffer of which `written` bytes were written, counted over its device-writable segments. Hot. */
  push(head: number, written: number): void;

  /** Shows everything pushed since to the driver. Returns whether the driver wants to be notified. Hot. */
  flush(): boolean;

  /** Asks the driver to notify about the next available buffer. Returns false if some already arrived. */
  enableNotifications(): boolean;
  disableNotifications(): void;

  /** The queue as plain data, for `restoreDeviceQueue`. Throws `TypeError` while it is broken or a buffer was pushed and not flushed. */
  save(): DeviceQueueState;
}
