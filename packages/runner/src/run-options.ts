import type { ResolutionOptions } from '@virtio-platform/profile';

/** What a run may be given beside the profile. */
export interface RunOptions {
  /**
   * Aborts the run: everything that was started is ended, in the one safe order, and the run has no report but rejects
   * with the reason of the signal.
   */
  readonly signal?: AbortSignal | undefined;
  /** A listener of the `progress` events. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Runs it under the DMA sanitizer, also where the profile does not say so. */
  readonly sanitize?: boolean | undefined;
  /** Which plugins may be used, and where they are looked for. */
  readonly plugins?: ResolutionOptions | undefined;
}
