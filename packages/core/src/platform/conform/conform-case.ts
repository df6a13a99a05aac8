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

/** What a device type brings to `conform`. */
export interface DeviceCases {
  /** The cases of the type itself. */
  readonly cases: readonly ConformCase[];
  /** The requirements of the type's own section, which its cases name. */
  readonly clauses: readonly Clause[];
  /** Queues that have to be enabled for its requests. */
  readonly queues: readonly number[];
  /**
   * Called once for each boot, on a device that was started with a split ring: writes what the requests are to find,
   * and returns request number `n`. Several numbers may be in flight at once.
   */
  readonly open: (bench: ConformBench) => Promise<(n: number) => GoodRequest>;
  /** Request number `n` of a device that does not even get through {@link open}: one that needs nothing to be found. */
  readonly unprepared: (n: number) => GoodRequest;
  /**
   * Opens a model of the device for long runs of requests whose data is verified, on a device that was started; called
   * once for each run. Without it such runs have the requests of {@link open}.
   */
  readonly openModel?: (bench: ConformBench) => RequestModel;
}
