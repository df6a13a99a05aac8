import { timeText } from './describe-event.js';

/** Shows the ring of a queue as it was when an event happened. */
export class RingWheel {
  /**
   * @param {HTMLElement} figure
   * @param {import('./run-data.js').RunData} run
   */
  constructor(figure, run) {
    this.run = run;
    this.queue = Number(figure.dataset['queue']);
    this.size = Number(figure.dataset['size']);
    this.isPacked = figure.dataset['layout'] === 'packed';
    this.figure = figure;
    this.wedges = [...figure.querySelectorAll('.wedges path')];
  }

  /** @param {number} at */
  show(at) {
    const { available, taken, away } = this.run.ringAt(this.queue, at);
    const isAway = new Uint8Array(this.wedges.length);
    for (const { slot, slots } of away) {
      if (slot < 0) continue;
      for (let i = 0; i < slots; i++)
        isAway[Math.floor((((slot + i) % this.size) * this.wedges.length) / this.size)] = 1;
    }
    for (const [i, wedge] of this.wedges.entries()) wedge.classList.toggle('away', isAway[i] === 1);
    this.turn('available', available);
    this.turn('taken', taken);
    this.text('.away', `${away.length} ${away.length === 1 ? 'buffer' : 'buffers'}`);
    this.text('.in-flight', `${away.length} away`);
    this.text('.moment', `at ${timeText(this.run.times[at] ?? 0)}, where the timeline points`);
    for (const small of this.figure.querySelectorAll('dd small')) small.textContent = '';
    for (const key of this.figure.querySelectorAll('.key-used, .key-used + dd, .needle.used')) key.remove();
    const ids = away.slice(0, 8).map(({ id }) => id);
    const last = this.figure.querySelector('dd:has(.away) small');
    if (last !== null) last.textContent = ids.join(', ') + (away.length > ids.length ? ' …' : '');
  }

  /** @param {string} name @param {number} position */
  turn(name, position) {
    if (position < 0) return;
    const slot = this.isPacked ? position & 0x7fff : position % this.size;
    const degrees = ((360 * (slot + 0.5)) / this.size).toFixed(2);
    this.figure.querySelector(`.needle.${name}`)?.setAttribute('transform', `translate(120 120) rotate(${degrees})`);
    this.text(`.${name}-slot`, String(slot));
  }

  /** @param {string} selector @param {string} text */
  text(selector, text) {
    const element = this.figure.querySelector(selector);
    if (element !== null) element.textContent = text;
  }
}
