import { listenToAddresses } from './addresses.js';
import { eventsAround, tableInView } from './event-table.js';
import { RingWheel } from './ring-wheel.js';
import { RunData } from './run-data.js';
import { Timeline } from './timeline.js';

const words = JSON.parse(document.getElementById('words')?.textContent ?? '{}');
/** @type {Timeline[]} */
const timelines = [];

/**
 * Sets up a run when it is first opened: its data can be large.
 * @param {Element} details
 */
function openRun(details) {
  if (details.classList.contains('ready')) return;
  details.classList.add('ready');
  for (const map of details.querySelectorAll('.address-map')) listenToAddresses(map);
  const section = /** @type {HTMLElement | null} */ (details.querySelector('.timeline'));
  if (section === null) return;
  const run = new RunData(JSON.parse(section.querySelector('script')?.textContent ?? ''), words);
  const timeline = new Timeline(section, run);
  timelines.push(timeline);
  const toTrouble = /** @type {HTMLElement | null} */ (section.querySelector('[data-do=trouble]'));
  if (toTrouble !== null) {
    toTrouble.hidden = run.trouble < 0;
    if (run.trouble >= 0) toTrouble.textContent = `To the ${run.rows[run.trouble].name}`;
  }
  const wheels = [...details.querySelectorAll('.wheel')].map(
    (figure) => new RingWheel(/** @type {HTMLElement} */ (figure), run),
  );
  timeline.onEvent.push((at) => {
    for (const wheel of wheels) wheel.show(at);
  });
  const table = /** @type {HTMLDetailsElement | null} */ (section.querySelector('details.events'));
  if (table !== null) tableInView(table, timeline);
  const around = section.querySelector('.around');
  if (around !== null) eventsAround(around, run);
  timeline.draw();
}

/**
 * Whether a text is in the clipboard now.
 * @param {string} text
 */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** Opens the run that the address of the page names. */
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    openRun(target);
    target.scrollIntoView();
  }
}

for (const details of document.querySelectorAll('details.run')) {
  details.addEventListener('toggle', () => openRun(details));
  if (/** @type {HTMLDetailsElement} */ (details).open) openRun(details);
}
window.addEventListener('hashchange', openTarget);
openTarget();

/**
 * Copies the command line beside a button. A page that was opened as a file may have no clipboard: then the text is
 * selected.
 * @param {Element} button
 */
async function copyCommand(button) {
  const code = button.parentElement?.querySelector('code');
  if (code === null || code === undefined) return;
  if (!(await copyText(code.textContent ?? ''))) {
    getSelection()?.selectAllChildren(code);
    return;
  }
  button.textContent = 'Copied';
  setTimeout(() => (button.textContent = 'Copy'), 2000);
}

for (const button of document.querySelectorAll('button.copy'))
  button.addEventListener('click', () => void copyCommand(button));

// On paper everything is open, and drawn in the colours of paper.
/** @type {HTMLDetailsElement[]} */
let openedForPaper = [];
window.addEventListener('beforeprint', () => {
  const closed = /** @type {NodeListOf<HTMLDetailsElement>} */ (
    document.querySelectorAll('details:not([open]):not(.events)')
  );
  openedForPaper = [...closed];
  for (const details of openedForPaper) {
    details.open = true;
    if (details.classList.contains('run')) openRun(details);
  }
});
window.addEventListener('afterprint', () => {
  for (const details of openedForPaper) details.open = false;
});
for (const query of ['print', '(prefers-color-scheme: dark)'])
  matchMedia(query).addEventListener('change', () => {
    for (const timeline of timelines) timeline.drawNow();
  });
