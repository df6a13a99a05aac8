import { bytesText, describeEvent, isTrouble, timeText } from './describe-event.js';
import { TimelineView } from './timeline-view.js';

const AXIS = 22;
const ROW = 24;
/** The width of the names of the tracks; in a narrow page they stand above the tracks. */
const GUTTER = 78;
const NARROW = 560;
/** The most queues and the most buffers below each other. */
const MOST_QUEUES = 8;
const MOST_LANES = 16;
/** How far from a mark a pointer still means it, in pixels. */
const NEAR = 6;

/** Draws one run over time, and tells `onChange` what of it is in view and which event is meant. */
export class Timeline {
  /**
   * @param {HTMLElement} section
   * @param {import('./run-data.js').RunData} run
   */
  constructor(section, run) {
    this.run = run;
    this.section = section;
    this.canvas = /** @type {HTMLCanvasElement} */ (section.querySelector('canvas'));
    this.readout = /** @type {HTMLElement} */ (section.querySelector('.readout'));
    this.view = new TimelineView(run.end);
    /** The event that is meant, or -1. */
    this.at = -1;
    /** @type {((at: number) => void)[]} */
    this.onEvent = [];
    /** @type {(() => void)[]} */
    this.onView = [];
    this.isDue = false;
    this.gutter = 0;
    this.height = 0;
    this.pen = this.pick();
    this.tracks = this.layOut();
    this.listen();
    this.readout.textContent = `${timeText(run.end)} in all, ${run.data.count.toLocaleString('en-US')} events.`;
  }

  /** The rows from top to bottom. */
  layOut() {
    const { run } = this;
    const isNarrow = this.canvas.clientWidth < NARROW;
    this.gutter = isNarrow ? 0 : GUTTER;
    const head = isNarrow ? 13 : 0;
    const tracks = [];
    let y = AXIS;
    for (const { name, title } of run.words.tracks) {
      const isThere = run.rows.some((/** @type {import('./run-data.js').Row} */ row) => row.track === name);
      if (name === 'run' && !isThere) continue;
      tracks.push({ name, title, y: y + head, height: ROW, queue: -1, lanes: 0, lane: 0 });
      y += ROW + head + 4;
    }
    for (const queue of run.queues.slice(0, MOST_QUEUES)) {
      const most = run.buffers.reduce((max, each) => (each.queue === queue ? Math.max(max, each.lane) : max), 0) + 1;
      const lanes = Math.min(MOST_LANES, most);
      const lane = lanes <= 4 ? 10 : lanes <= 8 ? 7 : 5;
      tracks.push({ name: 'queue', title: `queue ${queue}`, y: y + head, height: lanes * lane, queue, lanes, lane });
      y += lanes * lane + head + 8;
    }
    this.height = y + 2;
    this.canvas.style.height = `${this.height}px`;
    return tracks;
  }

  /** Draws with the next frame. */
  draw() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    this.isDue = false;
    const { canvas } = this;
    const width = canvas.clientWidth;
    if (width === 0) return;
    this.tracks = this.layOut();
    const scale = Math.max(2, window.devicePixelRatio);
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(this.height * scale);
    this.pen = this.pick();
    this.pen.context.scale(scale, scale);
    this.drawAxis();
    this.drawMissing();
    for (const track of this.tracks) {
      this.drawTrack(track);
      if (track.queue >= 0) this.drawBuffers(track);
      else this.drawMarks(track);
    }
    this.drawTrouble();
    this.drawCursor();
  }

  /** What the drawing needs of the page as it is now: its colours differ in the dark and on paper. */
  pick() {
    const { canvas } = this;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    const style = getComputedStyle(canvas);
    /** @param {string} name */
    const color = (name) => style.getPropertyValue(`--${name}`).trim();
    return { context, color, width: canvas.clientWidth, font: style.fontFamily };
  }

  /** @param {number} time */
  x(time) {
    const { view, gutter } = this;
    return gutter + ((time - view.from) / view.span) * (this.canvas.clientWidth - gutter);
  }

  /** @param {number} x */
  timeAt(x) {
    const { view, gutter } = this;
    return view.from + ((x - gutter) / (this.canvas.clientWidth - gutter)) * view.span;
  }

  drawAxis() {
    const { context, color, width, font } = this.pen;
    const rough = (this.view.span / (width - this.gutter)) * 90;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough) ?? 10 * power;
    context.font = `11px ${font}`;
    context.textBaseline = 'middle';
    for (let time = Math.ceil(Math.max(0, this.view.from) / step) * step; time <= this.view.to; time += step) {
      const x = this.x(time);
      context.fillStyle = color('line');
      context.fillRect(x, AXIS - 4, 1, this.height - AXIS + 4);
      const text = time === 0 ? '0' : shortTime(time, step);
      const at = Math.min(width - context.measureText(text).width - 2, x + 3);
      context.fillStyle = color('faint');
      context.fillText(text, at, 9);
    }
  }

  /** Where events are missing: how much happened there. */
  drawMissing() {
    const { context, color, font } = this.pen;
    const { data, times } = this.run;
    const { start, width, counts } = data.activity;
    const most = counts.map((/** @type {number[]} */ track) => Math.max(1, ...track));
    for (const [at, missing] of data.gaps) {
      const [from, to] = [at === 0 ? 0 : times[at - 1], times[at]];
      const [left, right] = [Math.max(this.gutter, this.x(from)), this.x(to)];
      if (right - left < 2) continue;
      context.fillStyle = color('missing');
      context.fillRect(left, AXIS, right - left, this.height - AXIS);
      for (const [number, track] of this.run.words.tracks.entries()) {
        const row = this.tracks.find(({ name }) => name === track.name);
        if (row === undefined) continue;
        context.fillStyle = color(track.name);
        context.globalAlpha = 0.45;
        const first = Math.max(0, Math.floor((from - start) / width));
        for (let i = first; i < counts[number].length && start + i * width < to; i++) {
          const count = counts[number][i];
          if (count === 0) continue;
          const [x, end] = [this.x(start + i * width), this.x(start + (i + 1) * width)];
          const height = row.height * (0.15 + 0.85 * Math.sqrt(count / most[number]));
          const clipped = Math.max(left, x);
          context.fillRect(clipped, row.y + row.height - height, Math.max(0.5, Math.min(right, end) - clipped), height);
        }
        context.globalAlpha = 1;
      }
      const text = `${missing.toLocaleString('en-US')} events are not here`;
      context.font = `11px ${font}`;
      context.textBaseline = 'middle';
      context.fillStyle = color('faint');
      const queue = this.tracks.find((track) => track.queue >= 0);
      if (queue !== undefined && context.measureText(text).width < right - left - 8)
        context.fillText(text, left + 6, queue.y + queue.height / 2);
    }
  }

  /** @param {any} track */
  drawTrack({ title, y, height }) {
    const { context, color, font, width } = this.pen;
    context.fillStyle = color('line');
    context.fillRect(this.gutter, y + height + 1, width, 1);
    context.fillStyle = color('text');
    context.font = `12px ${font}`;
    context.textBaseline = 'middle';
    if (this.gutter) context.fillText(title, 0, y + height / 2);
    else context.fillText(title, 0, y - 6);
  }

  /** Marks in one track: as many in a pixel as there are, the higher. @param {any} track */
  drawMarks({ name, y, height }) {
    const { context, color, width } = this.pen;
    const { run, view } = this;
    const columns = new Uint32Array(Math.ceil(width) + 1);
    const signals = [];
    const end = run.indexAt(view.to);
    for (let i = run.indexAt(view.from); i < end; i++) {
      const row = run.rows[i];
      if (row.track !== name) continue;
      const x = Math.round(this.x(run.times[i]));
      if (x < this.gutter || x > width) continue;
      columns[x]++;
      if (row.kind === 'notify' || row.kind === 'interrupt') signals.push([x, row.kind]);
    }
    context.fillStyle = color(name);
    for (let x = 0; x < columns.length; x++) {
      if (columns[x] === 0) continue;
      const tall = height * (0.45 + 0.55 * Math.min(1, Math.log2(columns[x]) / 6));
      context.fillRect(x - 0.5, y + height - tall, 1.6, tall);
    }
    let last = -Infinity;
    for (const [x, kind] of signals) {
      if (Number(x) - last < 5) continue;
      last = Number(x);
      this.drawSignal(last, kind === 'notify' ? y + 1 : y + 1, kind === 'notify');
    }
  }

  /** A notification: up from the driver, down from the device. @param {number} x @param {number} y @param {boolean} isUp */
  drawSignal(x, y, isUp) {
    const { context, color } = this.pen;
    const [tip, base] = isUp ? [y - 1, y + 6] : [y + 6, y - 1];
    context.beginPath();
    context.moveTo(x, tip);
    context.lineTo(x - 4, base);
    context.lineTo(x + 4, base);
    context.closePath();
    context.fillStyle = color('notify');
    context.fill();
    context.strokeStyle = color('page');
    context.lineWidth = 0.8;
    context.stroke();
  }

  /** @param {any} track */
  drawBuffers({ queue, y, lanes, lane }) {
    const { context, color, font, width } = this.pen;
    const { view, run } = this;
    for (const buffer of run.buffers) {
      if (buffer.queue !== queue || buffer.added > view.to || (buffer.taken >= 0 && buffer.taken < view.from)) continue;
      const top = y + (buffer.lane % lanes) * lane;
      const tall = lane - 1.5;
      const end = buffer.taken < 0 ? run.end : buffer.taken;
      const isLost = buffer.taken < 0 || (buffer.reset === 1 && buffer.pushed < 0);
      const parts = [];
      if (buffer.popped >= 0) parts.push(['waiting', buffer.added, buffer.popped]);
      const works = buffer.popped >= 0 ? buffer.popped : buffer.added;
      parts.push(['working', works, buffer.pushed >= 0 ? buffer.pushed : end]);
      if (buffer.pushed >= 0) parts.push(['returning', buffer.pushed, end]);
      for (const [name, from, to] of parts) {
        const left = Math.max(this.gutter, this.x(Number(from)));
        const right = Math.min(width, this.x(Number(to)));
        if (right < left) continue;
        context.fillStyle = color(isLost && name !== 'waiting' ? 'lost' : String(name));
        context.fillRect(left, top, Math.max(0.8, right - left), tall);
      }
      const [left, right] = [Math.max(this.gutter, this.x(buffer.added)), Math.min(width, this.x(end))];
      if (lane >= 7 && right - left > 44) {
        context.font = `${lane - 1}px ${font}`;
        context.fillStyle = color('on-slice');
        context.fillText(`#${buffer.id}`, left + 3, top + tall / 2 + 0.5);
      }
    }
  }

  /** What is wrong: a line through all tracks, and a mark at its own. */
  drawTrouble() {
    const { context, color, width } = this.pen;
    const { run, view } = this;
    const end = run.indexAt(view.to);
    let last = -Infinity;
    for (let i = run.indexAt(view.from); i < end; i++) {
      if (!isTrouble(run.rows[i])) continue;
      const x = this.x(run.times[i]);
      if (x - last < 2 || x > width) continue;
      last = x;
      context.strokeStyle = color('trouble');
      context.lineWidth = 1;
      context.setLineDash([3, 3]);
      context.beginPath();
      context.moveTo(x, AXIS - 4);
      context.lineTo(x, this.height);
      context.stroke();
      context.setLineDash([]);
      const track = this.tracks.find(({ name }) => name === run.rows[i].track) ?? this.tracks[0];
      if (track === undefined) continue;
      const y = track.y + track.height / 2;
      context.fillStyle = color('trouble');
      context.beginPath();
      context.moveTo(x, y - 9);
      context.lineTo(x + 7, y);
      context.lineTo(x, y + 9);
      context.lineTo(x - 7, y);
      context.closePath();
      context.fill();
      context.strokeStyle = color('page');
      context.stroke();
    }
  }

  drawCursor() {
    if (this.at < 0) return;
    const { context, color } = this.pen;
    const x = this.x(this.run.times[this.at]);
    if (x < this.gutter) return;
    context.fillStyle = color('text');
    context.fillRect(x - 0.75, AXIS - 6, 1.5, this.height - AXIS + 6);
  }

  /** Means an event: its words, its place, the ring at that moment. @param {number} at */
  mean(at, words = '') {
    this.at = Math.max(0, Math.min(this.run.length - 1, at));
    const event = this.run.event(this.at);
    const queue = event.queue < 0 ? '' : `, queue ${event.queue}`;
    const told = describeEvent(event);
    this.readout.textContent =
      words !== '' ? words : `${timeText(event.time)}: ${event.row.name}${queue}${told === '' ? '' : `, ${told}`}`;
    for (const each of this.onEvent) each(this.at);
    this.draw();
  }

  changed() {
    this.draw();
    for (const each of this.onView) each();
  }

  /** @param {string} what */
  do(what) {
    const { view, run } = this;
    const middle = this.at >= 0 ? run.times[this.at] : (view.from + view.to) / 2;
    const around = middle < view.from || middle > view.to ? (view.from + view.to) / 2 : middle;
    if (what === 'in') view.zoom(0.5, around);
    else if (what === 'out') view.zoom(2, around);
    else if (what === 'all') view.all();
    else if (what === 'left') view.pan(-view.span / 8);
    else if (what === 'right') view.pan(view.span / 8);
    else if (what === 'next' || what === 'previous') {
      const first = run.indexAt(view.from);
      const to = this.at < 0 ? first : this.at + (what === 'next' ? 1 : -1);
      this.mean(to);
      view.reveal(run.times[this.at]);
    } else if (what === 'trouble' && run.trouble >= 0) {
      const time = run.times[run.trouble];
      view.zoom(Math.min(1, 4000 / view.span), time);
      view.pan(time - (view.from + view.to) / 2);
      this.mean(run.trouble);
    }
    this.changed();
  }

  listen() {
    const { canvas, section, view } = this;
    /** @type {Record<string, string>} */
    const keys = {
      ArrowLeft: 'left',
      ArrowRight: 'right',
      '+': 'in',
      '=': 'in',
      '-': 'out',
      Home: 'all',
    };
    canvas.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = event.key === 'ArrowLeft' ? 'previous' : event.key === 'ArrowRight' ? 'next' : undefined;
      const what = event.shiftKey && step !== undefined ? step : keys[event.key];
      if (what === undefined) return;
      event.preventDefault();
      this.do(what);
    });
    for (const button of section.querySelectorAll('button[data-do]'))
      button.addEventListener('click', () => this.do(/** @type {HTMLElement} */ (button).dataset['do'] ?? ''));
    canvas.addEventListener(
      'wheel',
      (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        view.zoom(1.0015 ** event.deltaY, this.timeAt(event.offsetX));
        this.changed();
      },
      { passive: false },
    );
    let dragged = -1;
    canvas.addEventListener('pointerdown', (event) => {
      dragged = event.offsetX;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener('pointerup', () => (dragged = -1));
    canvas.addEventListener('pointercancel', () => (dragged = -1));
    canvas.addEventListener('pointermove', (event) => {
      if (dragged >= 0) {
        view.pan(this.timeAt(dragged) - this.timeAt(event.offsetX));
        dragged = event.offsetX;
        this.changed();
      } else this.hover(event.offsetX, event.offsetY);
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** @param {number} x @param {number} y */
  hover(x, y) {
    const { run } = this;
    const track = this.tracks.find((each) => y >= each.y - 4 && y < each.y + each.height + 4);
    if (track === undefined) return;
    const time = this.timeAt(x);
    if (track.queue >= 0) {
      const lane = Math.floor((y - track.y) / track.lane);
      const buffer = run.buffers.find(
        (each) =>
          each.queue === track.queue &&
          each.lane % track.lanes === lane &&
          each.added <= time &&
          (each.taken < 0 || each.taken >= time),
      );
      if (buffer !== undefined) this.mean(Math.max(0, run.indexAt(time) - 1), describeBuffer(buffer, run.end));
      return;
    }
    let [best, distance] = [-1, NEAR];
    for (let i = run.indexAt(this.timeAt(x - NEAR)); i < run.length && this.x(run.times[i]) <= x + NEAR; i++) {
      const away = Math.abs(this.x(run.times[i]) - x);
      if (run.rows[i].track === track.name && away < distance) [best, distance] = [i, away];
    }
    if (best >= 0) this.mean(best);
  }
}

/** @param {import('./run-data.js').PageBuffer} buffer @param {number} end */
function describeBuffer({ id, queue, added, popped, pushed, taken, bytes, written, reset, slot, slots }, end) {
  const parts = [`buffer ${id} of queue ${queue}, ${bytesText(bytes)}`];
  if (popped >= 0) parts.push(`${timeText(popped - added)} in the ring`);
  if (popped >= 0 && pushed >= 0) parts.push(`${timeText(pushed - popped)} with the device`);
  if (pushed >= 0 && taken >= 0) parts.push(`${timeText(taken - pushed)} until the driver took it back`);
  if (taken < 0) parts.push(`never came back (${timeText(end - added)} until the last event)`);
  else if (reset === 1) parts.push(`taken back by a reset after ${timeText(taken - added)}`);
  else parts.push(`${timeText(taken - added)} in all`, `${bytesText(written)} written`);
  if (slot >= 0) parts.push(slots > 1 ? `slots ${slot} to ${slot + slots - 1}` : `slot ${slot}`);
  return parts.join('; ');
}

/** A time on the axis, with as many digits as the step needs. @param {number} time @param {number} step */
function shortTime(time, step) {
  const [size, unit] = step >= 1e6 ? [1e7, 's'] : step >= 1e3 ? [1e4, 'ms'] : [10, 'µs'];
  const digits = Math.max(0, -Math.floor(Math.log10(step / size) + 1e-9));
  return `${(time / size).toFixed(digits)} ${unit}`;
}
