import type { DmaPath } from '@virtio-platform/core/dma';
import type { FailureSchedule } from '@virtio-platform/core/failure';
import type { FeatureSet } from '@virtio-platform/core/features';
import type { DriverPrivilege, NegotiationPolicy } from '@virtio-platform/core/negotiation';

/** Where something stands in a profile: file as given, line and column from 1. */
export interface SourceLocation {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A plugin that a profile names, with its options still unchecked: only the plugin's schema knows them. */
export interface PluginUse {
  /** Package name, or the absolute path of what the profile names by a path relative to itself. */
  readonly use: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Where `use` stands. */
  readonly location: SourceLocation;
  /**
   * Where an option or its key stands, by its path below the plugin's section; for an unknown path the section that lacks it.
   * That may be in a profile this one extends.
   */
  locate(path: readonly PropertyKey[], part?: 'value' | 'key'): SourceLocation;
}

/** What every device has. */
interface AnyDevice {
  readonly interface: 'modern' | 'transitional' | 'legacy';
  /** `undefined` where the profile leaves it to the device. */
  readonly offers: FeatureSet | undefined;
}

export interface BlockSection extends AnyDevice {
  readonly type: 'block';
  /** Bytes; a multiple of 512. */
  readonly capacity: number;
  /** Absolute path of a raw image, found from the folder of the file that names it; memory without it. */
  readonly image: string | undefined;
  readonly readOnly: boolean;
  /** At most 20 bytes of ASCII. */
  readonly serial: string;
  /** Request queues, of which a driver without BLK_MQ uses one. */
  readonly queues: number;
}

export interface NetSection extends AnyDevice {
  readonly type: 'net';
  /** Six bytes in hexadecimal, with colons. */
  readonly mac: string;
  /** Pairs of a receive and a transmit queue, of which a driver without NET_MQ uses one. */
  readonly queuePairs: number;
}

export interface ConsoleSection extends AnyDevice {
  readonly type: 'console';
  /** Characters. */
  readonly columns: number;
  readonly rows: number;
  /** Of which a driver without CONSOLE_MULTIPORT uses one. */
  readonly ports: number;
}

export interface EntropySection extends AnyDevice {
  readonly type: 'entropy';
  /** Makes the bytes the same in every run; `undefined` for random ones. */
  readonly seed: number | undefined;
}

export type DeviceSection = BlockSection | NetSection | ConsoleSection | EntropySection;

export interface DriverSection {
  readonly privilege: DriverPrivilege;
  readonly interface: 'modern' | 'legacy';
  /** Map buffers once for all requests, or each request anew, or have them in memory that both sides see at once. */
  readonly buffers: 'premapped' | 'streaming' | 'coherent';
  /** How long no request may complete before the device counts as stalled. */
  readonly timeoutMs: number;
  /** What this driver does not know, as an old one. */
  readonly lacks: FeatureSet;
  /** What it takes back just before it writes the rest. */
  readonly clears: FeatureSet;
  /** What it writes whatever the rules say: a hostile driver, which then passes physical addresses. */
  readonly forces: FeatureSet | undefined;
  /** Whether the DMA sanitizer looks at what the driver does. */
  readonly sanitize: boolean;
}

export interface QueueSection {
  readonly layout: 'split' | 'packed';
  /** Entries, at most 32768; a power of two on the split layout. */
  readonly size: number;
}

/** Something done to the device in the middle of a workload. */
export interface Interruption {
  /** Once so many requests were completed. */
  readonly after: number;
  /** `reset-queues` needs RING_RESET, and what was in flight is done again; `suspend` needs SUSPEND. */
  readonly do: 'reset-queues' | 'suspend';
  /** With `reset-queues`: entries that the queues then have; `undefined` leaves them as they are. */
  readonly size?: number | undefined;
}

export interface WorkloadSection {
  /** One of those that its device type has. */
  readonly kind: 'write-read-verify' | 'read' | 'echo' | 'stream';
  readonly requests: number;
  /** Requests in flight at once. */
  readonly depth: number;
  /** Bytes of each request; of a block device a multiple of 512. */
  readonly blockSize: number;
  readonly seed: number;
  /** In the order in which they come. */
  readonly interruptions: readonly Interruption[];
}

/** What fails on purpose on the driver's side. What the hardware refuses is an option of the platform. */
export interface FailuresSection {
  /** Mappings of single buffers. */
  readonly map: FailureSchedule;
  /** Regions: pools that are mapped once, rings, tables. */
  readonly region: FailureSchedule;
  /** Mappings of buffers and of pools, in one count: the device is told of an address at which nothing is mapped. */
  readonly withhold: FailureSchedule;
}

/** What a run has to show; anything left out is not compared. */
export interface ExpectSection {
  readonly accepted?: readonly string[];
  readonly declined?: readonly string[];
  readonly path?: DmaPath;
  readonly outcome?: 'completed' | 'refused' | 'failed';
  /** Code of a refusal, such as ENODEV. */
  readonly refusal?: string;
  /** Code of the error that a run failed with, such as ERR_DEVICE_NEEDS_RESET. */
  readonly failure?: string;
  readonly faults?: number;
  /** What the IOMMU itself recorded. */
  readonly recorded?: number;
  readonly findings?: number;
  /** Of a run that completes: whether the data is right. */
  readonly verified?: boolean;
}

/** One run of a profile, checked: every key known, every size a number of bytes, defaults filled in, `extends` resolved. */
export interface Profile {
  /** With what tells it from the other runs, where `matrix` makes several: `mine [queue.layout=packed]`. */
  readonly name: string;
  readonly summary: string;
  /** Absolute path of the file. */
  readonly file: string;
  readonly platform: PluginUse;
  /** `options` without `memory`. */
  readonly machine: PluginUse;
  /** Bytes of guest memory. */
  readonly memory: number;
  readonly device: DeviceSection;
  readonly driver: DriverSection;
  readonly policy: NegotiationPolicy;
  readonly queue: QueueSection;
  readonly workload: WorkloadSection;
  readonly failures: FailuresSection;
  readonly expect: ExpectSection;
}
