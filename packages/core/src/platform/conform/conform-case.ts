import type { QueueLayout } from '../../queue/ring/ring-format.ts';
import type { Clause } from './clause.ts';
import type { ConformBench } from './conform-bench.ts';
import type { GoodRequest, OfferedDevice } from './good-request.ts';
import type { RequestModel } from './request-model.ts';

/** Returns why a case does not apply to a device, or `undefined` where it does. */
export type CaseNeed = (device: OfferedDevice) => string | undefined;

/** A case of `conform`: something that a device has to do, and how a driver sees whether it does. */
export interface ConformCase {
  /** Stays the same for good: `ring/used-length`. The runner adds the layout where the case has several. */
  readonly id: string;
  /** The section of the specification that it holds the device to: `2.7.8.2`, or `vhost-user: SET_VRING_BASE`. */
  readonly clause: string;
  readonly level: 'MUST' | 'SHOULD';
  /** One sentence, of what the device does: `returns a used length that is no longer than the writable part`. */
  readonly title: string;
  /** Layouts on which it runs, each with an id of its own; without it once, on a split ring. */
  readonly layouts?: readonly QueueLayout[];
  readonly needs?: readonly CaseNeed[];
  /**
   * Whether the driver breaks the rules. The device may then ask for a reset, fall silent, or close the connection;
   * it has to serve again after a reset.
   */
  readonly isHostile?: boolean;
  /** Throws, through the bench, where the device does not do what it has to. */
  readonly run: (bench: ConformBench) => void | Promise<void>;
}

/** What the requests of a device follow from: the features that were accepted, and memory. */
export type RequestBench = Pick<ConformBench, 'accepted' | 'allocate' | 'lend'>;

/** Makes request number `n` of a device type. */
export type RequestMaker = (n: number, bench: RequestBench) => GoodRequest;

/** What a device type brings to `conform`. */
export interface DeviceCases {
  /** The cases of the type itself. */
  readonly cases: readonly ConformCase[];
  /** The requirements of the type's own section, which its cases name. */
  readonly clauses: readonly Clause[];
  /** Queues that have to be enabled for its requests, which are on the first of them. */
  readonly queues: readonly number[] | ((bench: RequestBench) => readonly number[]);
  /**
   * Called once for each boot, on a device that was started with a split ring: writes what the requests are to find,
   * and returns the maker of its requests. Several numbers may be in flight at once.
   */
  readonly open: (bench: ConformBench) => Promise<RequestMaker>;
  /** Request number `n` of a device that does not even get through {@link open}: one that needs nothing to be found. */
  readonly unprepared: RequestMaker;
  /**
   * Called as the device starts, and whenever the bench looks at it: gives the device what its requests need beside
   * them, such as receive buffers, and takes what comes of them. A case may do so itself (`isUnattended`).
   */
  readonly attend?: (bench: ConformBench) => void;
  /**
   * A request of any queue: `undefined` for a queue that serves none. `usual` is one of the first queue, which others
   * may serve too. Without it the device has one queue with requests.
   */
  readonly requestOn?: (queue: number, usual: GoodRequest, bench: ConformBench) => GoodRequest | undefined;
  /**
   * Opens a model of the device for long runs of requests whose data is verified, on a device that was started; called
   * once for each run. Without it such runs have the requests of {@link open}.
   */
  readonly openModel?: (bench: ConformBench) => RequestModel;
}
