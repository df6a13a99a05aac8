import type { DeviceAddressSpace } from '../address-space/device-address-space.ts';
import type { FaultLog } from '../address-space/fault-log.ts';
import type { PciFunction } from '../device/pci-function.ts';
import type { Transport } from '../device/transport.ts';
import type { DeviceAddressing } from '../dma/device-addressing.ts';
import type { DmaMapping } from '../dma/dma-mapping.ts';
import type { ExperimentalBits } from '../features/feature-name.ts';
import type { Misbehavior } from '../failure/misbehavior.ts';
import type { FeatureSet } from '../features/feature-set.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { DriverPrivilege } from '../negotiation/platform-traits.ts';
import type { DeviceQueue } from '../queue/device/device-queue.ts';
import type { DeviceTypePlugin } from './device-type.ts';
import type { PlatformStatistics } from './platform.ts';
import type { FacilityToken, SimulatedHardware } from './plugin.ts';

/** The device a profile asks for, as a machine gets it. */
export interface DeviceDescription {
  readonly type: DeviceTypePlugin;
  /** The URL of the module whose default export is `type`, for a thread of its own. */
  readonly module: string;
  /** Which interfaces the device has. A transitional device has both. */
  readonly interface: 'modern' | 'transitional' | 'legacy';
  /** Which of them the driver uses. */
  readonly driverInterface: 'modern' | 'legacy';
  /** What it offers; `undefined` leaves it to the device. */
  readonly offers: FeatureSet | undefined;
  /** Who the device is handed to, as its host knows; `kernel` unless given. No driver can change it. */
  readonly driverPrivilege?: DriverPrivilege;
  /** The numbers of the two features of 2019, where the device knows them. */
  readonly experimental?: ExperimentalBits | undefined;
  /**
   * What it can do with addresses; everything unless given. Only a machine whose device is ours can enforce that; any
   * other device takes every address, and the driver's side keeps to it.
   */
  readonly addressing?: DeviceAddressing | undefined;
  /** What the type's schema made of the rest of the profile's `device` section: plain data. */
  readonly settings: unknown;
  /** How it misbehaves on purpose; only a machine that `provides` 'simulated' is asked for that. */
  readonly misbehaves?: Misbehavior | undefined;
}

/** What a machine sees of a device that is not in this thread. */
export type MachineEvent = 'iotlbMiss' | 'iotlbUpdate' | 'iotlbInvalidate' | 'interrupt';

/** Takes what a machine sees of its device, where it has something to show. */
export interface MachineRecorder {
  /**
   * Something happened. `queue` is -1 for the whole device, `address` guest-physical or -1, `low` and `high` the words
   * of a device address, and `length` bytes. Hot: no allocation.
   */
  record(event: MachineEvent, queue: number, address: number, low: number, high: number, length: number): void;

  /**
   * The machine's own program told of something: the name of an event of its own, and the rest. `at` is milliseconds of
   * `performance.now()`; events may come late, and all in the end.
   */
  external(at: number, text: string): void;

  /**
   * The log of the machine's own program was too long to be kept: its first `bytes` are missing, and with them what the
   * program told of before `at`, which is as of {@link external}. `program` is its name, for reports.
   */
  logCut(program: string, at: number, bytes: number): void;
}

/** What a machine is asked to boot. */
export interface MachineRequest {
  /** Bytes of guest memory. */
  readonly memory: number;
  readonly device: DeviceDescription;
  /** What the platform will ask for. */
  readonly needs: readonly FacilityToken[];
  /** Builds the platform's hardware in software; `undefined` when the plugin has none. */
  readonly simulate: ((memory: GuestMemory) => SimulatedHardware) | undefined;
  /**
   * Stands between the device and its address space, where the DMA sanitizer and the recorder look at what the device
   * does. Nothing does unless given. A machine whose device is in another thread, or is not its own, cannot call it.
   */
  readonly watchDevice?: ((space: DeviceAddressSpace) => DeviceAddressSpace) | undefined;
  /** Stands in front of the device's end of each queue, where {@link watchDevice} is called. */
  readonly watchDeviceQueue?: ((queue: DeviceQueue, index: number) => DeviceQueue) | undefined;
  /** Is told what the machine sees of a device that is not in this thread. */
  readonly recorder?: MachineRecorder | undefined;
  /**
   * Aborted when the machine is no longer wanted: a boot that waits then ends what it started and rejects. One that
   * does not look at it is awaited for a few seconds, and what it boots later is disposed.
   */
  readonly signal?: AbortSignal | undefined;
  /** Folder that relative paths in the profile are resolved against. */
  readonly baseDirectory: string;
}

/** What is really underneath and enforces the rules. */
export interface Machine {
  /** As reports name it: `simulated`. */
  readonly name: string;
  /** Starts it. Throws a coded error, and then nothing is left running. */
  boot(): Promise<BootedMachine>;
}

/**
 * A driver's available buffer notifications, as the device counts them from boot on, resets included. Compare `needed`
 * with `missed`: a device in another thread may hear several notifications as one.
 */
export interface NotificationCounts {
  /**
   * How often the device had asked to be notified and the driver made a buffer available (specification 1.4 sections
   * 2.7.10 and 2.8.10, event index included).
   */
  readonly needed: number;
  /** Notifications that came, of queues that were enabled. */
  readonly received: number;
  /** Of those needed: how many did not come. The device found the buffers otherwise, or never. */
  readonly missed: number;
  /** Notifications that came although the device had suppressed them. The specification allows them. */
  readonly spurious: number;
}

/** A program that a machine started to be its device. */
export interface DeviceProgram {
  /** The exit status or the signal that ended it, such as `status 1`; `undefined` while it runs. */
  readonly ending: string | undefined;
  /** The end of its error output. */
  readonly stderrTail: string;
}

/** A running machine. */
export interface BootedMachine {
  readonly memory: GuestMemory;
  readonly transport: Transport;
  readonly facilities: ReadonlyMap<FacilityToken, unknown>;
  /** The function that {@link transport} drives, for those who try its registers; absent where the device is none. */
  readonly pci?: PciFunction | undefined;
  /** What the device did that the platform does not allow, as far as this machine can see it. */
  readonly faults: FaultLog;
  /** What the device counted of the driver's notifications so far; absent where this machine cannot see that. */
  readonly notifications?: NotificationCounts | undefined;
  /** What became of the program that is the device; `undefined` where the machine started none. */
  readonly deviceProgram?: (() => DeviceProgram) | undefined;
  /**
   * The first thing that was thrown inside the device: in its half, or in the platform's address space, which the
   * device calls. `undefined` where nothing was. Absent where this machine cannot see it.
   */
  readonly deviceError?: (() => { readonly thrown: unknown } | undefined) | undefined;
  /** Counters that the machine shows of itself in the report of a run, once the device was reset. */
  readonly statistics?: (() => PlatformStatistics) | undefined;
  /**
   * The guest-physical addresses of the pages of 4096 bytes that the device wrote to since the last call, ascending, as
   * the device itself logs them. Absent where it does not.
   */
  readonly takeDirtyPages?: (() => readonly number[]) | undefined;
  /**
   * Stands in front of the mapping of each queue, where a device has to know what is mapped before it sees an address.
   * Code that opens a mapping for a queue passes it through this function.
   */
  readonly watchMapping?: ((mapping: DmaMapping) => DmaMapping) | undefined;
  /** Ends everything that was started, on every way out. Never throws. */
  dispose(): Promise<void>;
}
