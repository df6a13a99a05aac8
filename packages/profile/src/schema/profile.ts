import type { DeviceTypePlugin } from '@virtio-platform/core';
import type { UsedLengthPolicy } from '@virtio-platform/core/queue';
import type { DeviceAddressing, DmaPath } from '@virtio-platform/core/dma';
import type { FailureSchedule, Misbehavior } from '@virtio-platform/core/failure';
import type { FeatureSet } from '@virtio-platform/core/features';
import type { DriverPrivilege, NegotiationPolicy } from '@virtio-platform/core/negotiation';
import type { SourceLocation } from '../source/profile-issue.ts';

/** A plugin that a profile names, with its options as they are written: only the plugin's schema can check them. */
export interface PluginUse {
  /** The name of the package, or the absolute path of the file or folder. */
  readonly use: string;
  /** Whether `use` is the short name of a device type: `block`. */
  readonly isShort?: boolean;
  readonly options: Readonly<Record<string, unknown>>;
  /** Of a machine: bytes of guest memory; `undefined` where the profile has no readable size. */
  readonly memory?: number | undefined;
  /** Where `use` stands. */
  readonly location: SourceLocation;
  /**
   * Where an option or its key stands, by its path below the plugin's section; for an unknown path the section that
   * lacks it. That may be in a profile this one extends.
   */
  locate(path: readonly PropertyKey[], part?: 'value' | 'key'): SourceLocation;
}

/** The `device` section. */
export interface DeviceSection {
  /** How the profile names the type. */
  readonly use: PluginUse;
  readonly type: DeviceTypePlugin;
  /** The URL of the module whose default export is `type`. */
  readonly module: string;
  readonly interface: 'modern' | 'transitional' | 'legacy';
  /** `undefined` where the device offers all that its machine implements. */
  readonly offers: FeatureSet | undefined;
  /** How the device misbehaves on purpose. */
  readonly misbehaves: Misbehavior | undefined;
  /** What it can do with addresses. */
  readonly addressing: DeviceAddressing;
  /** What the type's schema made of the other keys. */
  readonly settings: unknown;
}

/** The `driver` section. */
export interface DriverSection {
  readonly privilege: DriverPrivilege;
  readonly interface: 'modern' | 'legacy';
  /** Map buffers once for all requests, or for each request, or place them in coherent memory. */
  readonly buffers: 'premapped' | 'streaming' | 'coherent';
  /** Milliseconds without a completed request after which the device counts as stalled. */
  readonly timeoutMs: number;
  /** Features that this driver does not know, like an old driver. */
  readonly lacks: FeatureSet;
  /** Features that the driver withdraws just before it writes the others. */
  readonly clears: FeatureSet;
  /** Features that a hostile driver writes against the rules; it then passes physical addresses. */
  readonly forces: FeatureSet | undefined;
  /** Whether the DMA sanitizer checks the driver. */
  readonly sanitize: boolean;
  /**
   * The treatment of used lengths; `undefined`: `strict`, and on the legacy interface what the device type needs
   * (specification 1.4 section 2.7.8.1).
   */
  readonly usedLength: UsedLengthPolicy | undefined;
}

/** The `queue` section. */
export interface QueueSection {
  readonly layout: 'split' | 'packed';
  /** Entries, at most 32768; a power of two on the split layout. Left out: what the driver takes unless told. */
  readonly size?: number;
}

/** A reset of the queues, a suspend of the device, or exec by the driver's process, during a workload. */
export interface Disruption {
  /** The number of completed requests after which it happens. */
  readonly after: number;
  /**
   * `reset-queues` needs RING_RESET, and the driver makes the requests in flight again; `suspend` needs SUSPEND; `exec`
   * needs a platform whose mappings outlive a process.
   */
  readonly do: 'reset-queues' | 'suspend' | 'exec';
  /** With `reset-queues`: entries of each queue from then on; `undefined` keeps the size. */
  readonly size?: number | undefined;
}

/** The `workload` section. */
export interface WorkloadSection {
  /** The name of a workload of the device's type. */
  readonly kind: string;
  readonly requests: number;
  /** Requests in flight at once. */
  readonly depth: number;
  readonly seed: number;
  /** In the order in which they are written. */
  readonly disruptions: readonly Disruption[];
  /** What the workload's schema made of the other keys. */
  readonly options: unknown;
}

/** Failures on purpose on the driver's side. Refusals of the hardware are options of the platform. */
export interface FailuresSection {
  /** Mappings of single buffers. */
  readonly map: FailureSchedule;
  /** Regions: pools that are mapped once, rings, tables. */
  readonly region: FailureSchedule;
  /** Mappings of buffers and of pools, in one count, whose descriptors hold an address at which nothing is mapped. */
  readonly wrongAddress: FailureSchedule;
}

/** The expected outcome of a run; what is left out is not compared. */
export interface ExpectSection {
  readonly accepted?: readonly string[];
  readonly declined?: readonly string[];
  readonly path?: DmaPath;
  /** `any`: the queue may have another layout or size than the profile asks for. */
  readonly queue?: 'any';
  readonly outcome?: 'completed' | 'refused' | 'failed';
  /** Code of a refusal, such as ENODEV. */
  readonly refusal?: string;
  /** Code of the error that a run failed with, such as ERR_DEVICE_NEEDS_RESET. */
  readonly failure?: string;
  readonly faults?: number;
  /** Faults in the registers of the IOMMU. */
  readonly recorded?: number;
  /** How many things the platform cannot take back from the device; none unless given. */
  readonly leaked?: number;
  /** Configuration changes that the device tells of. */
  readonly configChanges?: number;
  readonly findings?: number;
  /** Of a run that completes: whether the data is right. */
  readonly verified?: boolean;
}

/**
 * One run of a profile, checked: every key known, every size a number of bytes, defaults filled in, `extends` resolved.
 */
export interface Profile {
  /** Where `matrix` makes several runs, with the values of this one: `mine [queue.layout=packed]`. */
  readonly name: string;
  readonly summary: string;
  /** Absolute path of the file; of text and objects a name in their base directory. */
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

/** What is known of a run also where the type of its device cannot be used: enough for the report of that failure. */
export type NamedRun = Pick<Profile, 'name' | 'file' | 'platform' | 'machine' | 'policy' | 'queue' | 'expect'> & {
  readonly workload: Pick<WorkloadSection, 'seed'>;
  readonly device: { readonly use: PluginUse; readonly type: Pick<DeviceTypePlugin, 'name' | 'features'> };
};
