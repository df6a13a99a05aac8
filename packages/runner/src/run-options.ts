import type { ComposedRun, ResolutionOptions } from '@virtio-platform/profile';
import type { SessionWatch } from '@virtio-platform/session';
import type { FlightRecorder } from '@virtio-platform/trace';

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
  /**
   * Takes the events of the run, to be read once the run has ended; a small one of the run's own unless given. A run
   * never uses one that another run uses.
   */
  readonly recorder?: FlightRecorder | undefined;
  /**
   * Is given what the run was put together from, and stands in front of what driver and device share, nearer to it than
   * the recorder.
   */
  readonly watch?: ((run: ComposedRun) => SessionWatch) | undefined;
  /** Which plugins may be used, and where they are looked for. */
  readonly plugins?: ResolutionOptions | undefined;
}
