import type { Transport } from '../../device/transport.ts';
import type { FeatureSet } from '../../features/feature-set.ts';
import type { FeatureTable } from '../../features/feature-rows.ts';
import type { QueueAddresses, QueueLayout } from '../../queue/ring/ring-format.ts';
import type { BenchBuffer, BenchSegment } from './bench-memory.ts';
import type { ConfigTable } from '../config-table.ts';
import type { ConformRing, ReturnedBuffer } from './conform-ring.ts';
import type { GoodRequest, OfferedDevice } from './good-request.ts';

/** How a case starts the device. */
export interface StartOptions {
  /** Ring features to accept beside those of the device type; what is not offered is left out. Default: none. */
  readonly with?: readonly number[];
  /** Exactly these features, whatever they are, in the place of those that the bench chooses. */
  readonly features?: FeatureSet;
  /** Entries of each queue, at most what the device takes. Default: 16. */
  readonly size?: number | ((queue: number) => number);
  /** Queues to enable, in this order. Default: those of the device type's requests. */
  readonly queues?: readonly number[];
  /** Leaves to the case what `DeviceCases.attend` does otherwise. */
  readonly isUnattended?: boolean;
  /** Leaves the device before DRIVER_OK: {@link ConformBench.go} is still to be called. */
  readonly isHeld?: boolean;
  /** What the device is told of each queue in the place of where it is. */
  readonly addresses?: (addresses: QueueAddresses) => QueueAddresses;
  /** The layout; that of the case unless given. */
  readonly layout?: QueueLayout;
}

/** How a request is cut and described. */
export interface Framing {
  /** Lengths of the readable and of the writable segments; one each unless given. Zero-length ones are left out. */
  readonly readable?: readonly number[];
  readonly writable?: readonly number[];
  /** Puts the segments into an indirect table; with a number, those from that one on. */
  readonly indirect?: boolean | number;
}

/** A request that was written to memory and not yet given to the device. */
export interface LaidOutRequest {
  readonly request: GoodRequest;
  readonly segments: readonly BenchSegment[];
  /** Says what is wrong with what came back. */
  check(returned: ReturnedBuffer): string | undefined;
}

/** Where notifications of the device arrive, in the place of where its transport takes them. */
export interface NotificationSource {
  /** Called for each queue right after it was enabled: before DRIVER_OK, or when it is enabled again. */
  enabled(queue: number): void;
  /** Whether a notification arrived since the last call. */
  take(): boolean;
}

/**
 * The bench on which a case tries a device: a device that is freshly reset, memory that is watched, rings whose every
 * field can be written by hand, and questions with bounded waits. Each way out of a case is a method that throws.
 */
export interface ConformBench {
  readonly device: OfferedDevice;
  /** The features and the configuration fields of the device type. */
  readonly featureTable: FeatureTable;
  readonly configTable: ConfigTable;
  readonly layout: QueueLayout;
  /** What was accepted at the last {@link start}. */
  readonly accepted: FeatureSet;
  /** The registers of the device. */
  readonly transport: Transport;
  /** Device addresses at which nothing is, as low and high words. */
  readonly nowhere: readonly (readonly [number, number])[];

  /** Resets the device, negotiates, enables queues and sets DRIVER_OK. Returns the ring of the first queue. */
  start(options?: StartOptions): Promise<ConformRing>;
  /** Sets DRIVER_OK. */
  go(): void;
  /** Resets the device, and waits until it confirmed. */
  reset(): Promise<void>;
  /** The queues that are enabled, in their order. */
  readonly enabled: readonly number[];
  /** The ring of a queue that was enabled. */
  ring(queue?: number): ConformRing;
  /** Enables a queue that was reset, with a new ring; of as many entries as before unless given. */
  renewRing(queue: number, size?: number): ConformRing;

  /** Memory for a buffer, with canaries around it, aligned to 16 unless given. */
  allocate(name: string, bytes: number, alignment?: number): BenchBuffer;
  /** Writes request number `n` of the device type to memory, cut as `framing` says. */
  layOut(n?: number, framing?: Framing): LaidOutRequest;
  /** Request number `n` of a queue; `undefined` for a queue that serves none. */
  requestOn(queue: number, n: number): GoodRequest | undefined;
  /** From here on the device may write the buffer, which no descriptor names. */
  lend(buffer: BenchBuffer): void;
  /** Writes a request to memory. */
  layOutRequest(request: GoodRequest, framing?: Framing): LaidOutRequest;
  /** Gives a request to the device, waits until it comes back, and checks it. */
  serve(request: LaidOutRequest, framing?: Framing, ring?: ConformRing): Promise<ReturnedBuffer>;
  /** Waits until a request comes back that was given to `ring`, as buffer `id` where the case says, and checks it. */
  takeBack(request: LaidOutRequest, ring: ConformRing, id?: number): Promise<ReturnedBuffer>;
  /** Lays out, serves and checks requests 0 to `count` - 1, up to `depth` at once, each publication with one kick. */
  serveMany(count: number, depth: number, framing?: (n: number) => Framing): Promise<void>;

  /** Waits until `isDone`; a device that never gets there hangs. `what` completes "the device did not ...". */
  until(what: string, isDone: () => boolean, milliseconds?: number): Promise<void>;
  /** Lets the device do what it does, for a short time. */
  settle(milliseconds?: number): Promise<void>;
  /** Waits for a notification of the device; returns whether there was one. */
  notified(milliseconds?: number): Promise<boolean>;
  /** Takes the notifications that are pending. */
  drain(): void;
  /** From the next {@link start} on, `notified` and `drain` look there, until the case ends. */
  receiveBy(source: NotificationSource): void;
  /** Whether the device asks for a reset (DEVICE_NEEDS_RESET). */
  asksForReset(): boolean;

  /** Fails the case where the two differ: "`what` is 3, and has to be 2". */
  equal(what: string, seen: number | bigint | string | boolean, right: number | bigint | string | boolean): void;
  /** Fails the case unless `isRight`: `seen` says what was seen. */
  check(isRight: boolean, seen: string): void;
  fail(seen: string): never;
  /** Ends a case that this device cannot be tried with. */
  skip(why: string): never;
}
