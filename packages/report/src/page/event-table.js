import { describeEvent, isTrouble, timeText } from './describe-event.js';

/** The most events in a table. */
const MOST_ROWS = 200;
/** Events before and after the first that is wrong. */
const BEFORE = 12;
const AFTER = 6;

/**
 * A table of events.
 * @param {import('./run-data.js').RunData} run
 * @param {number} from
 * @param {number} to
 * @param {number} zero
 * @param {string} caption
 * @returns {HTMLTableElement}
 */
export function eventTable(run, from, to, zero, caption) {
  const table = document.createElement('table');
  table.className = 'event-table';
  table.createCaption().textContent = caption;
  const head = table.createTHead().insertRow();
  for (const title of ['time', 'track', 'event', 'what']) {
    const cell = document.createElement('th');
    cell.scope = 'col';
    cell.textContent = title;
    head.append(cell);
  }
  const body = table.createTBody();
  const missing = new Map(run.data.gaps);
  for (let at = from; at < to; at++) {
    const before = missing.get(at);
    if (before !== undefined) {
      const cell = body.insertRow().insertCell();
      cell.colSpan = 4;
      cell.className = 'missing';
      cell.textContent = `${before.toLocaleString('en-US')} events are not here`;
    }
    const event = run.event(at);
    const row = body.insertRow();
    if (isTrouble(event.row)) row.className = 'trouble';
    const sign = zero > 0 && event.time > zero ? '+' : '';
    const time = event.time === zero ? '0' : timeText(event.time - zero);
    row.insertCell().textContent = `${sign}${time}`.replace('-', '−');
    const track = run.words.tracks.find(({ name }) => name === event.row.track)?.title ?? event.row.track;
    row.insertCell().textContent = event.queue < 0 ? track : `${track}, queue ${event.queue}`;
    row.insertCell().textContent = event.row.name;
    row.insertCell().textContent = describeEvent(event);
  }
  return table;
}

/**
 * The events that a timeline shows, while its table is open.
 * @param {HTMLDetailsElement} details
 * @param {import('./timeline.js').Timeline} timeline
 */
export function tableInView(details, timeline) {
  const { run, view } = timeline;
  const show = () => {
    if (!details.open) return;
    const [from, to] = [run.indexAt(view.from), run.indexAt(view.to)];
    const shown = Math.min(to, from + MOST_ROWS);
    const more = shown < to ? `the first ${MOST_ROWS} of ` : '';
    const caption = `${more}${(to - from).toLocaleString('en-US')} events in view; zoom in for the others`;
    details.querySelector('.scroll')?.replaceChildren(eventTable(run, from, shown, 0, caption));
  };
  details.addEventListener('toggle', show);
  timeline.onView.push(show);
}

/**
 * The events around the first that says that something is wrong.
 * @param {Element} place
 * @param {import('./run-data.js').RunData} run
 */
export function eventsAround(place, run) {
  if (run.trouble < 0) return;
  const [from, to] = [Math.max(0, run.trouble - BEFORE), Math.min(run.length, run.trouble + AFTER + 1)];
  const row = run.rows[run.trouble];
  const zero = run.times[run.trouble] ?? 0;
  const scroll = document.createElement('div');
  scroll.className = 'scroll';
  scroll.append(eventTable(run, from, to, zero, `Events around the first ${row.name}, at ${timeText(zero)}`));
  place.append(scroll);
}
