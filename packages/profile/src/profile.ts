import type { DmaPath, DriverPrivilege, FeatureSet } from '@virtio-platform/core';

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

export interface DeviceSection {
  readonly type: 'block';
  readonly interface: 'modern' | 'transitional' | 'legacy';
  /** `undefined` where the profile leaves it to the device. */
  readonly offers: FeatureSet | undefined;
  /** Bytes; a multiple of 512. */
  readonly capacity: number;
  /** Absolute path of a raw image, found from the folder of the file that names it; memory without it. */
  readonly image: string | undefined;
  readonly readOnly: boolean;
  /** At most 20 bytes of ASCII. */
  readonly serial: string;
}

export interface DriverSection {
  readonly privilege: DriverPrivilege;
  readonly interface: 'modern' | 'legacy';
  /** Map buffers once for all requests, or each request anew. */
  readonly buffers: 'premapped' | 'streaming';
  /** How long no request may complete before the device counts as stalled. */
  readonly timeoutMs: number;
}

export interface QueueSection {
  readonly layout: 'split';
  readonly size: number;
}

export interface WorkloadSection {
  readonly kind: 'write-read-verify';
  readonly requests: number;
  /** Requests in flight at once. */
  readonly depth: number;
  /** Bytes of each request; a multiple of 512. */
  readonly blockSize: number;
  readonly seed: number;
}

/** What a run has to show; anything left out is not compared. */
export interface ExpectSection {
  readonly accepted?: readonly string[];
  readonly declined?: readonly string[];
  readonly path?: DmaPath;
  readonly outcome?: 'completed' | 'refused' | 'failed';
  /** Code of a refusal, such as ENODEV. */
  readonly refusal?: string;
  readonly faults?: number;
}

/** A checked profile: every key known, every size a number of bytes, defaults filled in, `extends` resolved. */
export interface Profile {
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
  readonly queue: QueueSection;
  readonly workload: WorkloadSection;
  readonly expect: ExpectSection;
}
