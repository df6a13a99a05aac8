import type { Recording } from '../recording/recording.ts';
import { timelineData } from '../view/timeline-data.ts';
import { formatCount } from './format.ts';
import { element, html, json, type Markup } from './markup.ts';

/** The timeline of a run, which the script draws, and what a table tells of the same. */
export function timelineSection(recording: Recording | undefined, id: string): Markup {
  const data = recording && timelineData(recording);
  if (recording === undefined || data === undefined) return html``;
  const { count, events } = recording;
  const isSampled = events.length < count;
  const isAlone = recording.slices.length > 0 && recording.slices.every(({ popped }) => popped === null);
  return html`<section class="timeline" data-run="${id}">
    <h4>Timeline</h4>
    ${
      isSampled &&
      html`<p class="note sampled">
        <b>Sampled:</b> ${formatCount(events.length)} of ${formatCount(count)} events are here: the first, the last, and
        each that tells of memory or of something wrong. Between them the page shows how much happened.
      </p>`
    }
    ${
      isAlone &&
      html`<p class="note">
        The device is in another thread or process, where it is not recorded: the time of a buffer in the ring is with
        the device here.
      </p>`
    }
    <div class="controls" role="group" aria-label="Timeline">
      <button type="button" data-do="out" title="Zoom out (-)">−</button>
      <button type="button" data-do="in" title="Zoom in (+)">+</button>
      <button type="button" data-do="all" title="All of the run (Home)">All</button>
      <button type="button" data-do="previous" title="Event before (Shift+Left)">‹ Event</button>
      <button type="button" data-do="next" title="Event after (Shift+Right)">Event ›</button>
      <button type="button" data-do="trouble" hidden>To the fault</button>
      <span class="keys"
        >Keys: ← → pan, + − zoom, Home all, Shift+← → from event to event. Drag to pan, Ctrl+wheel to zoom.</span
      >
    </div>
    <canvas
      tabindex="0"
      role="application"
      aria-roledescription="timeline"
      aria-label="Timeline of ${formatCount(count)} events. The events in view are in the table below."
    ></canvas>
    <output class="readout" aria-live="polite"></output>
    <ul class="kinds slices">
      <li class="key-waiting">in the ring</li>
      <li class="key-working">with the device</li>
      <li class="key-returning">used, not taken back</li>
      <li class="key-lost">not given back by the device</li>
      <li class="key-trouble">fault, finding, failure</li>
      <li class="key-notify">notification</li>
    </ul>
    <div class="around"></div>
    <details class="table events">
      <summary>Events in view as a table</summary>
      <div class="scroll"></div>
    </details>
    ${element('script', ' type="application/json"', json(data))}
    <noscript><p>The timeline needs the script of this page.</p></noscript>
  </section>`;
}
