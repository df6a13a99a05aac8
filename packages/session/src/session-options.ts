import type { BootedMachine, BufferMapping, DeviceTypePlugin, Platform } from '@virtio-platform/core';
import type { Transport } from '@virtio-platform/core/device';
import type { DeviceAddressing, DmaMapping } from '@virtio-platform/core/dma';
import type { FailureSchedule } from '@virtio-platform/core/failure';
import type { FeatureSet } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { DriverPrivilege, NegotiationPolicy } from '@virtio-platform/core/negotiation';
import type { QueueLayout, UsedLengthPolicy, Virtqueue } from '@virtio-platform/core/queue';

/** The driver of a session. */
export interface SessionDriver {
  readonly privilege: DriverPrivilege;
  /** Features that it does not know. */
  readonly lacks: FeatureSet;
  /** Features that it withdraws just before it writes the others. */
  readonly clears?: FeatureSet | undefined;
  /** Features that a hostile driver writes against the rules; it then passes physical addresses. */
  readonly forces?: FeatureSet | undefined;
  /** How it maps its buffers. */
  readonly buffers: BufferMapping;
  /** The treatment of used lengths; `undefined`: what the device type needs, and `strict` where it says nothing. */
  readonly usedLength?: UsedLengthPolicy | undefined;
  /** Milliseconds that it gives the device for a request; a reset at the end has as long, from 1,000 to 5,000. */
  readonly timeoutMs?: number | undefined;
}

/** Failures on purpose in front of the platform's mappings, of all queues together. */
export interface SessionFailures {
  /** Mappings of single buffers. */
  readonly map: FailureSchedule;
  /** Regions: pools that are mapped once, rings, tables. */
  readonly region: FailureSchedule;
  /** Mappings of buffers and of pools, in one count, whose descriptors hold an address at which nothing is mapped. */
  readonly wrongAddress: FailureSchedule;
}

/**
 * What looks at a driver from the outside: it may put something of its own in front of each part that driver and device
 * share. A part without a function is given as it is, and nothing costs anything.
 */
export interface SessionWatch {
  /** In front of the transport, from negotiation on. */
  readonly transport?: ((transport: Transport) => Transport) | undefined;
  /** In front of the mapping of a queue and of its injected failures. The result owns the mapping. */
  readonly mapping?: ((mapping: DmaMapping, queue: number) => DmaMapping) | undefined;
  /** In front of a queue over `mapping`, which {@link mapping} returned. */
  readonly queue?: ((queue: Virtqueue, mapping: DmaMapping) => Virtqueue) | undefined;
  /** Guest memory as the driver half sees it; queues and mappings keep the machine's. */
  readonly memory?: (() => GuestMemory) | undefined;
}

/** What a session is made from. The sections of a checked profile have the form of those with their names. */
export interface SessionOptions {
  readonly machine: Pick<BootedMachine, 'memory' | 'transport' | 'watchMapping'>;
  readonly platform: Pick<Platform, 'traits' | 'rules' | 'guestByteOrder' | 'openMapping'>;
  readonly device: {
    readonly type: Pick<DeviceTypePlugin, 'features' | 'driver'>;
    /** What it can do with addresses; everything unless given. */
    readonly addressing?: DeviceAddressing | undefined;
  };
  readonly driver: SessionDriver;
  readonly policy: NegotiationPolicy;
  readonly queue: {
    /** Without RING_PACKED a `packed` queue is split. */
    readonly layout: QueueLayout;
    /** Entries, where the device has as many; {@link DEFAULT_QUEUE_SIZE} unless given. */
    readonly size?: number | undefined;
  };
  /** Entries that a queue may get later, by `Virtqueue.resize`: its mapping has room for the most. */
  readonly resizes?: readonly number[] | undefined;
  readonly failures?: SessionFailures | undefined;
  readonly watch?: SessionWatch | undefined;
}

/** Entries of a virtqueue where nothing says how many, and the device has as many. */
export const DEFAULT_QUEUE_SIZE = 256;

/** How much a driver half may have in flight. */
export interface DriverLoad {
  /** Requests in flight at once, at least 1. Of the whole device: queues share them. */
  readonly depth: number;
  /** Bytes of the longest request. */
  readonly bytes: number;
}
