import type { GuestMemory } from '../memory/guest-memory.ts';
import type { DriverContext, DriverHalf } from './driver-half.ts';
import type { OptionsSchema } from './options-schema.ts';
/** What a workload did so far. */
export interface WorkDone {
  /** Requests that are complete. */
  readonly requests: number;
  /** Bytes moved, in both directions together. */
  readonly bytes: number;
  /** Requests that were made again after a queue reset took them back. */
  readonly repeated: number;
  readonly mismatches: MismatchReport;
}

/**
 * What a workload does around its requests, done by its host: waiting for the device without missing a notification,
 * giving up on one that does nothing for too long, and the disruptions of the profile.
 */
export interface WorkLoop {
  /**
   * Ends one round of a workload, in which `progress` things happened and after which `completed` requests are done:
   * waits for the device when it was nothing. Throws {@link DeviceError} when the device stalls, lies or is gone.
   */
  turn(progress: number, completed: number): Promise<void>;
  /**
   * A buffer could not be added, and nothing that is in flight can change that: tried again at once, a few times.
   * `reason` is what `Virtqueue.add` returned. Throws {@link DeviceError} when it stays so.
   */
  failedToAdd(reason: number): void;
  /**
   * Does what the profile has done to the device once `completed` requests are done: queue resets, suspends. To be
   * called in each round where buffers are published and the device is not notified yet. A queue reset returns buffers
   * through {@link Workload.recover}.
   */
  disrupt(completed: number): void;
  /**
   * The workload found the first mismatch of a kind, just now: the host looks at rings and events as long as they show
   * how it came about.
   */
  mismatched?(mismatch: Mismatch): void;
}

/** What a workload is made from. */
export interface WorkloadContext<Settings = unknown, Options = unknown> extends DriverContext {
  /** The settings of the device section. */
  readonly settings: Settings;
  /** The options of the workload section that are the workload's own. */
  readonly options: Options;
  /** The name of the workload: `echo`. */
  readonly kind: string;
  /** Requests in all. */
  readonly requests: number;
  /** 32 bits: of patterns, and of the order of requests. */
  readonly seed: number;
  /** Most buffers that queue resets can return. */
  readonly mostReturned: number;
  readonly loop: WorkLoop;
  /** Guest memory without the sanitizer in between, to describe what came back wrong: no access of the driver. */
  readonly inspected: GuestMemory;
}

/** A workload at work on one device. */
export interface Workload {
  readonly done: WorkDone;
  /** Makes all requests of the profile on a started device. Throws {@link DeviceError}. */
  run(): Promise<void>;
  /** A queue reset returned the buffers with these ids. A workload without it loses them; see `recovers`. */
  recover?(queue: number, ids: readonly number[]): void;
}

/** Two values of a profile that cannot be together. */
export interface WorkloadProblem {
  /** The key of the workload section that the issue names. */
  readonly key: string;
  readonly message: string;
}

/** A workload of a device type: what a profile names with `workload.kind`. */
export interface WorkloadType<Settings, Driver extends DriverHalf, Options> {
  /** One sentence for editors and lists: `write a pattern, read it back, compare`. */
  readonly summary: string;
  /** The keys of the workload section that are its own. */
  readonly options: OptionsSchema<Options>;
  /** Options that are paths of files. A relative path starts at the folder of the profile that has it. */
  readonly paths?: readonly string[];
  /** Bytes of the longest request, by which the driver half allocates its buffers. */
  bytes(options: Options): number;
  /**
   * What is wrong with values that are right by themselves; called only where each is. `undefined` where nothing is.
   */
  problem?(settings: Settings, options: Options): WorkloadProblem | undefined;
  /** Whether its workload makes a request again that a queue reset returned; it then has `recover`. */
  readonly recovers: boolean;
  open(driver: Driver, context: WorkloadContext<Settings, Options>): Workload;
}

/** The kinds of mismatch: what a request that came back got wrong. */
export const MISMATCH_KINDS = [
  'status-error',
  'status-unknown',
  'status-missing',
  'used-length',
  'data',
  'length',
  'lost',
  'unexpected',
  'overrun',
] as const;
/** One of {@link MISMATCH_KINDS}. */
export type MismatchKind = (typeof MISMATCH_KINDS)[number];

/** The most bytes of a mismatch that are shown. */
export const MOST_SHOWN_BYTES = 256;

/** Data that differs from what it has to be. */
export interface DataDifference {
  /** Of the first byte that differs. */
  readonly offset: number;
  readonly expected: number;
  readonly actual: number;
  /** The bytes around it, where the workload shows them. */
  readonly bytes?: ShownBytes | undefined;
}

/** Bytes that were expected and those that came, in hexadecimal digits without blanks; {@link MOST_SHOWN_BYTES}. */
export interface ShownBytes {
  /** Of the first byte of both. */
  readonly offset: number;
  readonly expected: string;
  readonly actual: string;
}

/** One request whose result is wrong, with its place. */
export interface Mismatch {
  readonly kind: MismatchKind;
  /** The number of the request, counted from 1 in the order in which requests completed. */
  readonly request: number;
  /** The operation and its place on the device: `read of sector 312`, `frame 17 of link 0`. */
  readonly what: string;
  /** One sentence: what is wrong. */
  readonly detail: string;
  /** The same in a few words, for a line that is read first; absent where `detail` is short. */
  readonly brief?: string | undefined;
  readonly queue: number;
  /** The id of the buffer in its queue: its head descriptor, or the buffer id of a packed ring. */
  readonly buffer: number | null;
  /** Guest-physical address of the data, hexadecimal. */
  readonly address: string | null;
  /** Device address of the data, hexadecimal; `null` where the mapping ended with the request. */
  readonly deviceAddress: string | null;
  /** Of the data: the first byte that differs and both values; `null` where the data is not what is wrong. */
  readonly difference: DataDifference | null;
  /** Of data that was read: the request that wrote it last, where the workload knows that. */
  readonly writer?: { readonly request: number; readonly queue: number; readonly buffer: number | null } | undefined;
  /** The status byte of the request; `null` where the device type has none. */
  readonly status: number | null;
  /** The used length that the device gave, and the least that it may be. */
  readonly used: { readonly length: number; readonly least: number } | null;
}

/** The mismatches of a workload: how many of each kind, and the first of each. */
export interface MismatchReport {
  readonly counts: Readonly<Partial<Record<MismatchKind, number>>>;
  readonly first: readonly Mismatch[];
}
