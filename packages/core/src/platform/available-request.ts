import type { DeviceAddressSpace } from '../address-space/device-address-space.ts';
import type { FeatureSet } from '../features/feature-set.ts';
import type { DescriptorChain } from '../queue/device/descriptor-chain.ts';

/** A buffer that a driver made available, before the device half handles it. */
export interface AvailableRequest<Settings = unknown> {
  readonly queue: number;
  /** Only until the check returns. */
  readonly chain: DescriptorChain;
  readonly space: DeviceAddressSpace;
  /** What the driver accepted. */
  readonly accepted: FeatureSet;
  /** The configuration space, as the driver reads it. */
  readonly config: Uint8Array;
  /** What the type's schema made of the settings. */
  readonly settings: Settings;
}

/** The kinds of mistakes in a request, whatever the device type is. */
export const REQUEST_MISTAKES = [
  // What the driver writes is too short to be read: a header, a frame.
  'header',
  // There is no room for the answer that every request has.
  'status',
  // The data has a length that the request cannot have.
  'length',
  // It names a place that the device does not have: a sector, a target.
  'range',
  // It needs a feature that was not accepted.
  'feature',
  // It has a type or a value that the specification forbids.
  'value',
  // Buffers of this queue are for the other direction.
  'direction',
] as const;

/** One of {@link REQUEST_MISTAKES}. */
export type RequestMistakeKind = (typeof REQUEST_MISTAKES)[number];

/** What is wrong with a request. */
export interface RequestMistake {
  readonly kind: RequestMistakeKind;
  /** The section of virtio 1.4 that the request breaks: `5.2.6.1`. */
  readonly clause: string;
  /** Completes "a request of queue 0 ...": `reads 8 sectors at sector 131072 of a disk of 131072`. */
  readonly what: string;
  /** The segment of the chain that is concerned; the first one unless given. */
  readonly segment?: number;
}
