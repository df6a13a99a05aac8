import type { ConfigTable } from './config-table.ts';
import type { FeatureSet } from '../features/feature-set.ts';
import type { FeatureTable } from '../features/feature-rows.ts';
import type { DeclinedFeature } from '../negotiation/negotiation.ts';
import type { ByteOrder } from '../queue/ring/ring-format.ts';
import type { UsedLengthPolicy } from '../queue/driver/virtqueue.ts';
import type { DeviceCases } from './conform/conform-case.ts';
import type { QemuDevice, VhostUserDevice } from './device-hosts.ts';
import type { DeviceModel } from './device-model.ts';
import type { DriverContext, DriverHalf, NegotiatedDevice } from './driver-half.ts';
import type { OptionsSchema } from './options-schema.ts';
import type { AvailableRequest, RequestMistake } from './available-request.ts';
import type { WorkloadType } from './workload.ts';
/** How a device type is driven. */
export interface DeviceDriver<Driver extends DriverHalf> {
  /** Features of the device type that the driver half understands. */
  readonly features: FeatureSet;
  /**
   * Features that the core would accept and the driver half cannot work with: negotiation takes them back at the end,
   * with the reason (the rule `driver-half-declines`). None unless given.
   */
  readonly declines?: readonly DeclinedFeature[];
  /**
   * The treatment of used lengths on the modern and on the legacy interface (specification 1.4 section 2.7.8.1), unless
   * the profile chooses one. `strict` and `strict` unless given.
   */
  readonly usedLength?: { readonly modern?: UsedLengthPolicy; readonly legacy?: UsedLengthPolicy };
  /**
   * The indices of the queues that it uses, found from features and configuration, of which nothing is used unchecked.
   * Throws {@link DeviceError} `ERR_DEVICE_CONFIG`.
   */
  queues(device: NegotiatedDevice): readonly number[];
  /** Allocates buffers. Throws coded errors, and then nothing stays allocated. */
  open(context: DriverContext): Driver;
}

/** The raw image that a program which is the device opens. */
export interface DiskImage {
  /** Absolute path; `undefined` for an empty image that the machine makes. */
  readonly path: string | undefined;
  /** Bytes. */
  readonly capacity: number;
}

/**
 * A device type, as the default export of its package: `export default defineDeviceType({ ... })`. A profile names it
 * with `device.type`, by the short name of the package (`block` is `@virtio-platform/device-block`, or
 * `virtio-platform-device-block`), or with `device.use`, by package name or path.
 */
export interface DeviceTypePlugin<Settings = unknown, Driver extends DriverHalf = DriverHalf> {
  readonly kind: 'device';
  /** Short, as it appears in reports and errors: `block`. */
  readonly name: string;
  readonly apiVersion: number;
  /** The number of the device type, 1 to 63 (specification 1.4 section 5). */
  readonly id: number;
  /** One row for each feature bit of the type. */
  readonly features: FeatureTable;
  /**
   * The keys of the device section that are the type's own. The result is plain data, since a device half may be made
   * in another thread.
   */
  readonly options: OptionsSchema<Settings>;
  /**
   * Settings that are paths of files: `image`, or `disks.image` for that of each element of a list. Each is optional. A
   * relative path starts at the folder of the profile that has it; commands that open no file, such as `explain`, leave
   * these settings out.
   */
  readonly paths?: readonly string[];
  /**
   * What the device half writes: the writable parts of buffers, or also memory of the guest that a buffer names by
   * guest-physical address, as that of a balloon does with the pages that it is given. `buffers` unless given.
   */
  readonly writes?: 'buffers' | 'memory';
  /** The configuration space, by the fields' names in the specification. */
  readonly config: ConfigTable;
  readonly driver: DeviceDriver<Driver>;
  /** The workloads by name; the first is the one that lists propose. */
  readonly workloads: Readonly<Record<string, WorkloadType<Settings, Driver, unknown>>>;
  /**
   * Makes the device half: in the driver's thread, or in a worker, where the module of the plugin is loaded again. Of
   * `byteOrder` are configuration and headers. Throws coded errors.
   */
  model(settings: Settings, byteOrder: ByteOrder): DeviceModel;
  /** Checks what the settings name outside of the profile, before a machine boots: a file. Throws coded errors. */
  check?(settings: Settings): void;
  /** The image that a program which is the device opens; a type without it has none. */
  image?(settings: Settings): DiskImage;
  /** How QEMU makes such a device; without it, machines of QEMU refuse the type. */
  readonly qemu?: QemuDevice<Settings>;
  /** What is particular about vhost-user back-ends of the type; without it, a back-end has its configuration. */
  readonly vhostUser?: VhostUserDevice<Settings>;
  /** The requests and the cases of the type for `conform`; without it, `conform` tries no ring of such a device. */
  readonly cases?: DeviceCases;
  /**
   * Says what is wrong with a request of a driver, or `undefined`; of several mistakes the first one counts. Called for
   * each buffer while a device is served strictly, so it may be slow. Changes nothing. Without it nothing is wrong.
   */
  checkRequest?(request: AvailableRequest<NoInfer<Settings>>): RequestMistake | undefined;
}

/** Settings without those that name files: what a command that opens no file knows of a device. */
export function settingsWithoutPaths({ paths = [] }: Pick<DeviceTypePlugin, 'paths'>, settings: unknown): unknown {
  return paths.reduce((rest, path) => without(rest, path.split('.')), settings);
}

/** A value without the key that `path` leads to, in each element of a list on the way. */
function without(value: unknown, path: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((item) => without(item, path));
  if (typeof value !== 'object' || value === null) return value;
  const [first, ...rest] = path;
  const entries = Object.entries(value).filter(([key]) => rest.length > 0 || key !== first);
  return Object.fromEntries(entries.map(([key, item]) => [key, key === first ? without(item, rest) : item]));
}

/** Infers the types of settings and driver half. */
export function defineDeviceType<Settings, Driver extends DriverHalf>(
  plugin: DeviceTypePlugin<Settings, Driver>,
): DeviceTypePlugin<Settings, Driver> {
  return plugin;
}

/** Infers the type of a workload's options. */
export function defineWorkload<Settings, Driver extends DriverHalf, Options>(
  type: WorkloadType<Settings, Driver, Options>,
): WorkloadType<Settings, Driver, Options> {
  return type;
}
