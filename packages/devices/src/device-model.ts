import type { DescriptorChain, DeviceAddressSpace, FeatureSet } from '@virtio-platform/core';

/**
 * The device half of a device type: what the hardware does with buffers once the transport is up. Runs in the caller's thread
 * or in a worker. Reaches memory only through the address space it is given.
 */
export interface DeviceModel {
  /** As profiles name it: `block`. */
  readonly type: string;
  /** Feature bits of the device type that it implements, and offers unless the profile says otherwise. */
  readonly features: FeatureSet;
  /** Largest size of each queue, in entries. */
  readonly queueSizes: readonly number[];
  /** Device configuration space; a view that `writeConfig` may change. */
  readonly config: Uint8Array;
  /** The driver wrote configuration. Fields it may not write stay as they are. */
  writeConfig(offset: number, source: Uint8Array): void;
  /** Features were negotiated; before the first buffer. */
  start(accepted: FeatureSet): void;
  /** Handles one buffer of `queue` that was just popped, and returns how many bytes were written to its writable part. Hot. */
  process(queue: number, chain: DescriptorChain, space: DeviceAddressSpace): number;
  dispose(): void;
}
