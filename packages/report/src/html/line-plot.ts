import { html, type Markup } from './markup.ts';

const WIDTH = 640;
const HEIGHT = 300;
const LEFT = 80;
const RIGHT = 24;
const TOP = 24;
const BOTTOM = 44;
/** Lines that have a colour and a dash of their own; more of them have the same ones again. */
const STYLES = 8;
/** Bounds of the axis of values, as a part of the least and of the most value. */
const ROOM = 1.1;

/** A value over a place on the axis of a {@link LinePlot}. */
export interface PlotPoint {
  readonly x: number;
  readonly y: number;
  /** What the value was at worst, where it was measured several times. */
  readonly worst?: number;
}

/** A curve with its name. */
export interface PlotLine {
  readonly name: string;
  readonly points: readonly PlotPoint[];
}

/** Curves over one axis. */
export interface LinePlot {
  /** What is shown, for those who do not see it. */
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** Marks of the horizontal axis; curves are drawn between the first and the last one, on a logarithmic scale. */
  readonly ticks: readonly { readonly x: number; readonly label: string }[];
  readonly lines: readonly PlotLine[];
  /** A value as text. */
  readonly format: (value: number) => string;
}

/** Curves over logarithmic axes, with what lies between the best and the worst of each point, and a legend. */
export function linePlot(plot: LinePlot): Markup {
  const { title, xLabel, yLabel, ticks, lines, format } = plot;
  const values = lines.flatMap(({ points }) => points.flatMap(({ y, worst = y }) => [y, worst])).filter((y) => y > 0);
  if (values.length === 0 || ticks.length === 0) return html``;
  const x = scale(ticks[0]!.x, ticks.at(-1)!.x, LEFT, WIDTH - RIGHT);
  const [least, most] = [Math.min(...values) / ROOM, Math.max(...values) * ROOM];
  const y = scale(least, most, HEIGHT - BOTTOM, TOP);
  const marks = valueMarks(least, most);
  const label = `${title}: ${lines.length} curves from ${format(Math.min(...values))} to ${format(Math.max(...values))}`;
  return html`<figure class="plot">
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${label}">
      ${marks.map(
        (mark) =>
          html`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at(y(mark))}" y2="${at(y(mark))}" />
            <text x="${LEFT - 6}" y="${at(y(mark) + 3.5)}" text-anchor="end">${format(mark)}</text>`,
      )}
      ${ticks.map(
        ({ x: place, label: text }) =>
          html`<line class="grid" x1="${at(x(place))}" x2="${at(x(place))}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" />
            <text x="${at(x(place))}" y="${HEIGHT - BOTTOM + 15}" text-anchor="middle">${text}</text>`,
      )}
      <text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${xLabel}</text>
      <text x="${LEFT - 6}" y="12" text-anchor="end">${yLabel}</text>
      ${lines.map((line, i) => curve(line, i, x, y, format))}
    </svg>
    <figcaption>
      <ul class="plot-legend">
        ${lines.map(
          ({ name }, i) =>
            html`<li>
              <svg viewBox="0 0 28 10" aria-hidden="true">
                <line class="curve line-${i % STYLES}" x1="0" x2="28" y1="5" y2="5" />
                ${marker(i, 14, 5)}
              </svg>
              ${name}
            </li>`,
        )}
      </ul>
    </figcaption>
  </figure>`;
}

function curve(
  { name, points }: PlotLine,
  index: number,
  x: (value: number) => number,
  y: (value: number) => number,
  format: (value: number) => string,
): Markup {
  const known = points.filter((point) => point.y > 0);
  const path = known.map((point, i) => `${i === 0 ? 'M' : 'L'}${at(x(point.x))} ${at(y(point.y))}`).join(' ');
  return html`<g class="line-${index % STYLES}">
    <path class="curve line-${index % STYLES}" d="${path}" />
    ${known.map(
      (point) =>
        html`<g>
          ${
            point.worst !== undefined &&
            html`<line
              class="worst"
              x1="${at(x(point.x))}"
              x2="${at(x(point.x))}"
              y1="${at(y(point.y))}"
              y2="${at(y(point.worst))}"
            />`
          }
          ${marker(index, x(point.x), y(point.y))}<title>${name}: ${format(point.y)}</title>
        </g>`,
    )}
  </g>`;
}

/** A circle, a square or a triangle: curves differ in shape, too. */
function marker(index: number, x: number, y: number): Markup {
  const place = `${at(x)} ${at(y)}`;
  const shapes = [
    html`<circle class="marker line-${index % STYLES}" cx="${at(x)}" cy="${at(y)}" r="3" />`,
    html`<path class="marker line-${index % STYLES}" d="M${place} m-3 -3 h6 v6 h-6 z" />`,
    html`<path class="marker line-${index % STYLES}" d="M${place} m0 -4 l4 7 h-8 z" />`,
  ];
  return shapes[index % shapes.length]!;
}

/** A logarithmic scale; a single place is in the middle. */
function scale(least: number, most: number, from: number, to: number): (value: number) => number {
  const [low, high] = [Math.log(least), Math.log(most)];
  return (value) => (high === low ? (from + to) / 2 : from + ((Math.log(value) - low) / (high - low)) * (to - from));
}

/** One, two and five of each power of ten; of more than a few the powers alone. */
function valueMarks(least: number, most: number): readonly number[] {
  const powers = Array.from({ length: 24 }, (_, i) => 10 ** (i - 6));
  const all = powers.flatMap((power) => [power, power * 2, power * 5]).filter((mark) => mark >= least && mark <= most);
  return all.length <= 7 ? all : all.filter((mark) => powers.includes(mark));
}

function at(value: number): string {
  return value.toFixed(1);
}
