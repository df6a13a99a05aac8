/** The shortest time that a timeline shows, in tenths of microseconds. */
const SHORTEST = 20;

/** The part of a run that a timeline shows: zooms and pans without leaving the run. */
export class TimelineView {
  /** @param {number} end */
  constructor(end) {
    this.last = end;
    this.from = 0;
    this.to = end;
    this.all();
  }

  get span() {
    return this.to - this.from;
  }

  /** All of the run, with a margin. */
  all() {
    const margin = this.last * 0.01;
    this.from = -margin;
    this.to = this.last + margin;
  }

  /**
   * Shows `factor` times as much around a time.
   * @param {number} factor
   * @param {number} around
   */
  zoom(factor, around) {
    const span = Math.min(this.last * 1.02, Math.max(SHORTEST, this.span * factor));
    const part = (around - this.from) / this.span;
    this.from = around - part * span;
    this.to = this.from + span;
    this.pan(0);
  }

  /** @param {number} by */
  pan(by) {
    const { span } = this;
    const margin = this.last * 0.01;
    this.from = Math.max(-margin, Math.min(this.last + margin - span, this.from + by));
    this.to = this.from + span;
  }

  /**
   * Brings a time into view.
   * @param {number} time
   */
  reveal(time) {
    if (time < this.from + this.span * 0.05 || time > this.to - this.span * 0.05)
      this.pan(time - this.from - this.span / 2);
  }
}
