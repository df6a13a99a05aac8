import type { Recording, StepEvent } from './record/recording.ts';
import { buffersOfEvents } from './state/buffers-of-events.ts';
import { reduce } from './state/reduce.ts';
import { NOTHING_YET, type RunState } from './state/run-state.ts';

/** Events between two kept states: a step back repeats at most as many. */
const CHECKPOINT_EVERY = 64;

/** One event with the states around it. */
export interface Step {
  /** From 0. */
  readonly at: number;
  readonly event: StepEvent;
  readonly before: RunState;
  readonly after: RunState;
  /** Serials of the buffers that the event is about, the oldest first. */
  readonly buffers: readonly number[];
}

/**
 * The steps of a recording, to be read in any order. The state at a step is computed from the one before, from a
 * checkpoint on, so that going back gives exactly the state that going forward gave.
 */
export class Walk {
  readonly recording: Recording;
  readonly #checkpoints: RunState[] = [NOTHING_YET];
  #buffers: readonly (readonly number[])[] | undefined;
  #ids: readonly number[] | undefined;
  #last: { readonly after: number; readonly state: RunState } = { after: 0, state: NOTHING_YET };

  constructor(recording: Recording) {
    this.recording = recording;
  }

  get length(): number {
    return this.recording.events.length;
  }

  /** Step `at`, from 0 to {@link length} - 1. Throws `RangeError` for any other. */
  step(at: number): Step {
    const event = this.recording.events[at];
    if (event === undefined) throw new RangeError(`there is no step ${at} of ${this.length}`);
    const before = this.#stateAfter(at);
    const after = this.#stateAfter(at + 1);
    return { at, event, before, after, buffers: this.buffersOf(at) };
  }

  /** Serials of the buffers that step `at` is about. */
  buffersOf(at: number): readonly number[] {
    this.#buffers ??= buffersOfEvents(this.recording.events);
    return this.#buffers[at] ?? [];
  }

  /** The id in its queue of the buffer with this serial; -1 where there is none. */
  idOf(serial: number): number {
    // Serials count the buffers that were added.
    this.#ids ??= this.recording.events.filter(({ kind, id }) => kind === 'add' && id >= 0).map(({ id }) => id);
    return this.#ids[serial - 1] ?? -1;
  }

  /**
   * The first step from `from` on, in the direction of `by`, for which `is` holds; -1 where there is none.
   */
  find(from: number, by: 1 | -1, is: (at: number) => boolean): number {
    for (let at = from; at >= 0 && at < this.length; at += by) if (is(at)) return at;
    return -1;
  }

  /** The state after the first `count` events. */
  #stateAfter(count: number): RunState {
    if (this.#last.after === count) return this.#last.state;
    const nearest = Math.min(Math.floor(count / CHECKPOINT_EVERY), this.#checkpoints.length - 1);
    let done = nearest * CHECKPOINT_EVERY;
    let state = this.#checkpoints[nearest]!;
    if (this.#last.after > done && this.#last.after < count) ({ after: done, state } = this.#last);
    for (; done < count; done++) {
      state = reduce(state, this.recording.events[done]!);
      if ((done + 1) % CHECKPOINT_EVERY === 0) this.#checkpoints[(done + 1) / CHECKPOINT_EVERY] ??= state;
    }
    this.#last = { after: count, state };
    return state;
  }
}
