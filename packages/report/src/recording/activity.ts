/** Intervals of time that are kept. */
const INTERVALS = 512;
/** The first width of an interval, in microseconds. */
const FIRST_WIDTH = 32;

/** How many events of each track there were in each interval of a run. */
export interface ActivitySummary {
  /** When the first interval begins, in microseconds on the clock of the recorder. */
  readonly start: number;
  /** Microseconds of one interval. */
  readonly width: number;
  /** One list for each track; all of the same length. */
  readonly counts: readonly (readonly number[])[];
}

/**
 * Counts events by track and time in constant memory: where a run becomes longer, two intervals become one. Hot in
 * `add`: no allocation.
 */
export class Activity {
  readonly #counts: readonly Uint32Array[];
  #start = -1;
  #width = FIRST_WIDTH;
  #last = 0;

  constructor(tracks: number) {
    this.#counts = Array.from({ length: tracks }, () => new Uint32Array(INTERVALS));
  }

  /** `micros` is not before that of an earlier call. */
  add(track: number, micros: number): void {
    if (this.#start < 0) this.#start = micros;
    let at = Math.floor((micros - this.#start) / this.#width);
    while (at >= INTERVALS) {
      this.#fold();
      at = Math.floor((micros - this.#start) / this.#width);
    }
    this.#last = at;
    this.#counts[track]![at]!++;
  }

  summary(): ActivitySummary {
    const counts = this.#counts.map((track) => [...track.subarray(0, this.#last + 1)]);
    return { start: Math.max(0, this.#start), width: this.#width, counts };
  }

  #fold(): void {
    this.#width *= 2;
    for (const track of this.#counts) {
      for (let i = 0; i < INTERVALS / 2; i++) track[i] = track[2 * i]! + track[2 * i + 1]!;
      track.fill(0, INTERVALS / 2);
    }
  }
}
