import type { LatencySummary } from '@virtio-platform/trace';
import { formatCount, formatTime, plural } from './format.ts';
import { html, type Markup } from './markup.ts';

const WIDTH = 400;
const HEIGHT = 120;
const BASE = 100;

/** How long buffers were away: percentiles and a histogram over a logarithmic axis. */
export function latencySection(latency: LatencySummary | undefined): Markup {
  if (latency === undefined) return html``;
  const { count, precision, p50, p90, p99, p999, max } = latency;
  const rows = [
    ['p50', p50],
    ['p90', p90],
    ['p99', p99],
    ['p99.9', p999],
    ['max', max],
  ] as const;
  return html`<section class="latency">
    <h4>Latency</h4>
    <p class="note">
      From the driver’s adding a buffer until it took it back: all ${plural(count, 'buffer')} of the run. Percentiles
      are exact to ${(precision * 100).toFixed(1)} %.
    </p>
    <div class="latency-parts">
      <table class="percentiles">
        <thead>
          <tr>
            ${rows.map(([name]) => html`<th scope="col">${name}</th>`)}
          </tr>
        </thead>
        <tbody>
          <tr>
            ${rows.map(([name, value]) => html`<td data-percentile="${name}">${formatTime(value)}</td>`)}
          </tr>
        </tbody>
      </table>
      ${histogram(latency, rows)}
    </div>
  </section>`;
}

function histogram({ bars }: LatencySummary, rows: readonly (readonly [string, number])[]): Markup {
  const most = Math.max(...bars.map(({ count }) => count));
  const [from, to] = [Math.log(bars[0]!.from), Math.log(bars.at(-1)!.to)];
  const x = (time: number): number => ((Math.log(time) - from) / (to - from)) * WIDTH;
  const shapes = bars.map(({ from: left, to: right, count }) => {
    // A bar that is there is seen.
    const height = count === 0 ? 0 : Math.max(1.5, (count / most) * (BASE - 12));
    const width = Math.max(0.5, x(right) - x(left) - 0.6);
    return html`<rect
      x="${x(left).toFixed(1)}"
      y="${(BASE - height).toFixed(1)}"
      width="${width.toFixed(1)}"
      height="${height.toFixed(1)}"
      ><title>${formatTime(left)} to ${formatTime(right)}: ${plural(count, 'buffer')}</title></rect
    >`;
  });
  const marks = rows
    .filter(([name]) => name !== 'max')
    .map(
      ([name, time]) =>
        html`<line class="percentile" x1="${x(time).toFixed(1)}" x2="${x(time).toFixed(1)}" y1="6" y2="${BASE}"
          ><title>${name} ${formatTime(time)}</title></line
        >`,
    );
  return html`<svg
    class="histogram"
    viewBox="0 0 ${WIDTH} ${HEIGHT}"
    role="img"
    aria-label="Histogram of latencies from ${formatTime(bars[0]!.from)} to ${formatTime(bars.at(-1)!.to)}; the highest bar has ${plural(most, 'buffer')}"
  >
    ${shapes}${marks}
    <line class="axis" x1="0" x2="${WIDTH}" y1="${BASE}" y2="${BASE}" />
    <text x="0" y="115">${formatTime(bars[0]!.from)}</text>
    <text x="${WIDTH}" y="115" text-anchor="end">${formatTime(bars.at(-1)!.to)}</text>
    <text x="${WIDTH / 2}" y="115" text-anchor="middle">logarithmic; highest bar ${formatCount(most)}</text>
  </svg>`;
}
