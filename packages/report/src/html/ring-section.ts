import type { RingView } from '../view/ring-view.ts';
import { formatCount, plural } from './format.ts';
import { html, type Markup } from './markup.ts';

/** The most wedges of a wheel; in a larger ring several slots share one. */
const MOST_WEDGES = 128;
const CENTRE = 120;
const INNER = 64;
const OUTER = 92;

/** The rings of a run as wheels: positions of both ends, what the device has, and the slot that is wrong. */
export function ringSection(rings: readonly RingView[], queues: number): Markup {
  if (rings.length === 0) return html``;
  const more = queues - rings.length;
  return html`<section class="rings">
    <h4>${rings.length === 1 ? 'Ring' : 'Rings'}</h4>
    ${more > 0 && html`<p class="note">${rings.length} of ${formatCount(queues)} queues are shown.</p>`}
    <div class="wheels">${rings.map(wheel)}</div>
  </section>`;
}

function wheel(ring: RingView): Markup {
  const { queue, layout, size, moment, available, taken, used, outstandingCount, broken } = ring;
  const away = `${formatCount(outstandingCount)} with the device`;
  const label = `Queue ${queue}, ${layout}, ${size} slots, ${moment}: ${away}`;
  return html`<figure class="wheel" data-queue="${queue}" data-size="${size}" data-layout="${layout}">
    <svg viewBox="0 0 240 240" role="img" aria-label="${label}">
      <g class="wedges">${wedges(ring)}</g>
      ${used !== undefined && needle('used', used, size, 'M-5 -60 5 -60 0 -52z')}
      ${needle('available', available, size, 'M-7 -108 7 -108 0 -95z')}
      ${needle('taken', taken, size, 'M-7 -47 7 -47 0 -61z')}
      <text class="wheel-title" x="120" y="112">queue ${queue}</text>
      <text x="120" y="128">${layout}, ${size}</text>
      <text class="in-flight" x="120" y="144">${formatCount(outstandingCount)} away</text>
    </svg>
    <figcaption>
      <p class="moment">${moment}</p>
      <dl>
        <dt class="key-available">driver adds at</dt>
        <dd>
          slot <span class="available-slot">${available}</span>
          <small>${layout === 'split' ? `avail.idx ${ring.availableText}` : ring.availableText}</small>
        </dd>
        <dt class="key-taken">driver takes from</dt>
        <dd>slot <span class="taken-slot">${taken}</span> <small>${ring.takenText}</small></dd>
        ${
          used !== undefined &&
          html`<dt class="key-used">device used up to</dt>
            <dd>slot ${used}</dd>`
        }
        <dt class="key-away">with the device</dt>
        <dd><span class="away">${plural(outstandingCount, 'buffer')}</span> <small>${idsOf(ring)}</small></dd>
        ${
          broken &&
          html`<dt class="key-broken">look at</dt>
            <dd>slot ${broken.slot} <small>${broken.why}</small></dd>`
        }
      </dl>
    </figcaption>
  </figure>`;
}

function idsOf({ outstanding }: RingView): string {
  const ids = outstanding.slice(0, 8).map(({ id }) => id);
  return ids.length === 0 ? '' : `${ids.join(', ')}${outstanding.length > ids.length ? ' …' : ''}`;
}

function wedges({ size, outstanding, broken }: RingView): Markup[] {
  const count = Math.min(size, MOST_WEDGES);
  const away = new Uint8Array(count);
  const wedgeOf = (slot: number): number => Math.floor(((slot % size) * count) / size);
  for (const { slot, slots } of outstanding)
    for (let i = 0; i < Math.min(slots, size); i++) away[wedgeOf(slot + i)] = 1;
  const wrong = broken === undefined ? -1 : wedgeOf(broken.slot);
  return Array.from({ length: count }, (_, i) => {
    const kind = i === wrong ? 'broken' : away[i] === 1 ? 'away' : '';
    return html`<path d="${wedgePath(i, count, i === wrong ? 10 : 0)}" ${kind !== '' && html` class="${kind}"`} />`;
  });
}

/** A part of the wheel; the one that is wrong stands out by `grow`. */
function wedgePath(index: number, count: number, grow: number): string {
  const gap = count > 64 ? 0.1 : 0.06;
  const point = (radius: number, part: number): string => {
    const angle = (2 * Math.PI * (index + part)) / count - Math.PI / 2;
    return `${(CENTRE + radius * Math.cos(angle)).toFixed(1)} ${(CENTRE + radius * Math.sin(angle)).toFixed(1)}`;
  };
  const [inner, outer] = [INNER - grow, OUTER + grow];
  return (
    `M${point(inner, gap)}L${point(outer, gap)}${arc(outer, 1)} ${point(outer, 1 - gap)}` +
    `L${point(inner, 1 - gap)}${arc(inner, 0)} ${point(inner, gap)}z`
  );
}

function needle(name: string, slot: number, size: number, path: string): Markup {
  const degrees = ((360 * (slot + 0.5)) / size).toFixed(2);
  return html`<g class="needle ${name}" transform="translate(120 120) rotate(${degrees})"><path d="${path}" /></g>`;
}

function arc(radius: number, sweep: 0 | 1): string {
  return `A${radius} ${radius} 0 0 ${sweep}`;
}
