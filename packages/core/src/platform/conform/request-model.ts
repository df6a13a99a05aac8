import type { GoodRequest } from './good-request.ts';

/** What a device has to have done, so that the data of a long run of requests is verified. */
export interface RequestModel {
  /**
   * A request that follows from `n` and from what came before; several may be in flight. Where it would conflict with
   * one that is, it is another one. It is over when its `check` is called.
   */
  request(n: number): GoodRequest;
  /** The device was reset: what was in flight may have happened or not. */
  reset(): void;
}
