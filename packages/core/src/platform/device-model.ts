import type { DeviceAddressSpace } from '../address-space/device-address-space.ts';
import type { Misbehavior } from '../failure/misbehavior.ts';
import type { FeatureSet } from '../features/feature-set.ts';
import type { DescriptorChain } from '../queue/device/descriptor-chain.ts';

/** What {@link DeviceModel.process} returns for a buffer that it keeps, to push it itself later. */
export const KEPT = -1;

/** What a device half can do with its queues beside handling one buffer. Given by the host of the device half. */
export interface DeviceQueues {
  /** Returns a buffer that `process` kept. Its chain may be pushed once. Hot. */
  push(queue: number, head: number, written: number): void;
  /**
   * Records an error that the device half met and answered itself, such as an image that cannot be written. The device
   * goes on.
   */
  report(queue: number, error: unknown): void;
}

/**
 * What a device half tells its host without being asked, at any time between `connect` and `dispose`: from a timer, a
 * socket, or inside of one of its own methods.
 */
export interface DeviceEvents {
  /** `wants` may have changed for a queue: a frame was received, a key was pressed. The host looks at all queues. */
  queueChanged(): void;
  /**
   * The configuration space changed: a disk was resized. The device half calls it after it changed `config`; the host
   * changes the generation and notifies the driver (specification 1.4 section 2.5.1 and 2.3).
   */
  configChanged(): void;
  /**
   * A device half that misbehaves on purpose did so in this way with a buffer of a queue; `head` is -1 for a
   * notification that it does not send.
   */
  misbehaved?(way: keyof Misbehavior, queue: number, head: number): void;
}

/**
 * The device half of a device type: what the hardware does with buffers once the transport is up. Runs in the caller's
 * thread or in a worker. Reaches memory only through the address space it is given.
 */
export interface DeviceModel {
  /** Feature bits of the device type that it implements, and offers unless the profile says otherwise. */
  readonly features: FeatureSet;
  /** Largest size of each queue, in entries. */
  readonly queueSizes: readonly number[];
  /** Device configuration space; a view that `writeConfig` may change. */
  readonly config: Uint8Array;
  /**
   * The driver wrote a whole field that is writable by the type's table. The host ignores every other write. A device
   * half without it has no writable field.
   */
  writeConfig?(offset: number, source: Uint8Array): void;
  /**
   * Gives the device half the means to tell its host of events, once and before everything else.
   */
  connect?(events: DeviceEvents): void;
  /**
   * Whether the device half has timers or sockets. Its host then lets them run also while the driver is idle, which
   * makes a device in a thread of its own slower to wake.
   */
  readonly usesEventLoop?: boolean;
  /**
   * The device was reset: fields that the driver writes before it starts the device have their first values again. What
   * else was left of a run is forgotten in `start`.
   */
  reset?(): void;
  /** Features were negotiated; before the first buffer. Whatever was left of a run before a reset is forgotten. */
  start(accepted: FeatureSet): void;
  /**
   * Whether it has a use for a buffer of `queue` now. What it does not want stays in the ring: that is how a device
   * waits for data to deliver, and how it makes a driver wait that sends too fast. Changes only in `start` and
   * `process`, and with {@link DeviceEvents.queueChanged}. Hot.
   */
  wants(queue: number): boolean;
  /**
   * Handles one buffer of `queue` that was just popped, and returns how many bytes were written to its writable part,
   * or {@link KEPT}. The number is that of the bytes in front, without a gap (specification 1.4 section 2.7.8.2). The
   * chain is reused with the next buffer of the queue, also when the buffer is kept. Hot.
   */
  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues): number;
  /**
   * Answers a buffer that was just popped with an error of the type, and does nothing else. Returns as `process` does,
   * or {@link KEPT} where a request of this queue cannot fail. Absent where none can. For a device that misbehaves on
   * purpose.
   */
  refuse?(queue: number, chain: DescriptorChain, space: DeviceAddressSpace): number;
  /**
   * Whether the driver is notified now of used buffers of a queue, which it wants. Absent where it always is: only a
   * device that misbehaves on purpose is silent. Hot.
   */
  notifies?(queue: number): boolean;
  /** One queue was reset (RING_RESET): the buffers of it that the device kept are gone, with what they were for. */
  forget(queue: number): void;
  dispose(): void;
}
