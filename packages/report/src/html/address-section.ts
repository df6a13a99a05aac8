import { rangeAt } from '@virtio-platform/core/dma';
import type { AddressMap, MappedBlock } from '../view/address-map.ts';
import type { ReportedRun } from '../reported-run.ts';
import { ColumnLayout } from './column-layout.ts';
import { formatAddress, formatBytes, formatCount, plural } from './format.ts';
import { html, type Markup } from './markup.ts';

/** Horizontal places in the drawing, in its units: addresses stand left and right of two columns. */
const LEFT = { label: 104, from: 110, to: 148 } as const;
const RIGHT = { from: 252, to: 290, label: 296 } as const;
const WIDTH = 400;
const TOP = 34;
/** The least distance of two addresses below each other. */
const LINE = 12;

/** A block with the words that tell of it. */
interface Shown extends Omit<MappedBlock, 'kind'> {
  readonly kind: MappedBlock['kind'] | 'pool';
  readonly label: string;
}

const TITLES: Readonly<Record<Shown['kind'], string>> = {
  premapped: 'buffers, mapped once',
  coherent: 'ring or tables',
  streaming: 'buffers of requests',
  pool: 'bounce pool',
};

/** What the device reaches: device addresses against guest memory. */
export function addressSection(map: AddressMap, run: ReportedRun): Markup {
  const shown = shownBlocks(map, run);
  if (shown.length === 0 && map.refused.length === 0) return html``;
  const { addresses, report, memory } = run;
  const isBounced = report.path?.startsWith('bounced') === true;
  const streaming = shown.filter(({ kind }) => kind === 'streaming').reduce((sum, { mappings }) => sum + mappings, 0);
  const windows = addresses?.ranges.filter(({ kind }) => kind === 'window') ?? [];
  const notes = [
    ...windows.map(
      ({ what, deviceAddress, length }) =>
        html`<li class="key-window">
          ${what}: ${formatAddress(deviceAddress)} to ${formatAddress(deviceAddress + BigInt(length) - 1n)},
          ${formatBytes(length)}
        </li>`,
    ),
    ...(addresses?.isRestricted === true
      ? [html`<li class="key-private">private pages: the device reaches only what is shared with it</li>`]
      : []),
    ...(isBounced ? [html`<li class="key-copied">buffers that are copied through the pool stay private</li>`] : []),
    ...map.refused.map(
      ({ deviceAddress, access, length, cause }) =>
        html`<li class="key-refused">
          refused: ${access} of ${plural(length, 'byte')} at ${formatAddress(deviceAddress)},
          ${cause}${meaningOf(deviceAddress, run)}
        </li>`,
    ),
  ];
  const missing = map.streaming - streaming;
  return html`<section class="addresses">
    <h4>Addresses</h4>
    <p class="note">
      Device addresses against guest
      memory${memory !== undefined && html` of ${formatBytes(memory)}`}${
        map.streaming > 0 && html`; buffers of requests as they were ${map.moment}`
      }.${missing > 0 && html` ${formatCount(streaming)} of ${plural(map.streaming, 'mapping')} are drawn.`}
      Heights grow with the logarithm of sizes.
    </p>
    <ul class="kinds">
      ${kindsOf(shown).map((kind) => html`<li class="key-${kind}">${TITLES[kind]}</li>`)}${notes}
    </ul>
    <div class="address-map">
      ${drawing(shown, map, run)}<output class="address-readout"
        >Point at a block, or step through the blocks with the arrow keys.</output
      >
    </div>
    <details class="table">
      <summary>Addresses as a table</summary>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">what</th>
              <th scope="col">queue</th>
              <th scope="col">device address</th>
              <th scope="col">guest memory</th>
              <th scope="col" class="number">size</th>
            </tr>
          </thead>
          <tbody>
            ${shown.map(
              ({ label, queue, deviceAddress, address, length }) =>
                html`<tr>
                  <td>${label}</td>
                  <td>${queue < 0 ? '' : queue}</td>
                  <td class="address">${formatAddress(deviceAddress)}</td>
                  <td class="address">${formatAddress(address)}</td>
                  <td class="number">${formatBytes(Number(length))}</td>
                </tr>`,
            )}
          </tbody>
        </table>
      </div>
    </details>
  </section>`;
}

/** What an address means that is no memory. */
function meaningOf(address: bigint, { addresses }: ReportedRun): string {
  const interrupts = (addresses?.ranges ?? []).filter(({ kind }) => kind === 'interrupts');
  const range = rangeAt(interrupts, address);
  return range === undefined ? '' : `: it is in the ${range.what}, which is no memory`;
}

function shownBlocks({ blocks }: AddressMap, { addresses }: ReportedRun): Shown[] {
  const pools = (addresses?.ranges ?? []).flatMap(({ kind, what, deviceAddress, address, length }): Shown[] => {
    if (kind !== 'pool' || address === undefined) return [];
    const own = { deviceAddress, address: BigInt(address), length: BigInt(length) };
    return [{ kind: 'pool', label: what, queue: -1, mappings: 1, ...own }];
  });
  const labelled = blocks.map((block) => {
    const many = block.mappings > 1 ? `, ${formatCount(block.mappings)} mappings` : '';
    return { ...block, label: `${TITLES[block.kind]}${many}` };
  });
  return [...pools, ...labelled].toSorted((a, b) =>
    a.deviceAddress < b.deviceAddress ? -1 : a.deviceAddress > b.deviceAddress ? 1 : 0,
  );
}

function kindsOf(shown: readonly Shown[]): Shown['kind'][] {
  return [...new Set(shown.map(({ kind }) => kind))];
}

function drawing(shown: readonly Shown[], { refused }: AddressMap, { addresses, report }: ReportedRun): Markup {
  const isRestricted = addresses?.isRestricted === true;
  const isBounced = report.path?.startsWith('bounced') === true;
  const device = new ColumnLayout([
    ...shown.map(({ deviceAddress, length }) => ({ start: deviceAddress, length })),
    ...refused.map(({ deviceAddress, length }) => ({ start: deviceAddress, length: BigInt(length) })),
  ]);
  const guest = new ColumnLayout(shown.map(({ address, length }) => ({ start: address, length })));
  const bottom = Math.max(device.height, guest.height, 40);
  const windows = (addresses?.ranges ?? []).filter(({ kind }) => kind === 'window');
  const isRefused = ({ deviceAddress, length }: Shown): boolean =>
    refused.some((each) => each.deviceAddress >= deviceAddress && each.deviceAddress < deviceAddress + length);
  const blocks = shown
    .filter((block) => !isRefused(block))
    .map((block, i) => {
      const [left, right] = [
        spanOf(device, block.deviceAddress, block.length),
        spanOf(guest, block.address, block.length),
      ];
      const isCopied = isBounced && block.kind === 'streaming';
      const queue = block.queue < 0 ? '' : `queue ${block.queue}, `;
      const words = `${block.label}: ${queue}device ${rangeText(block.deviceAddress, block.length)}, guest ${rangeText(
        block.address,
        block.length,
      )}, ${formatBytes(Number(block.length))}`;
      return html`<g
        class="block ${block.kind}${isCopied && ' copied'}"
        role="img"
        tabindex="${i === 0 ? 0 : -1}"
        aria-label="${words}"
      >
        <path class="ribbon" d="${ribbon(left, right)}" />
        <rect x="${LEFT.from}" y="${y(left[0])}" width="${LEFT.to - LEFT.from}" height="${size(left)}" />
        <rect
          class="guest"
          x="${RIGHT.from}"
          y="${y(right[0])}"
          width="${RIGHT.to - RIGHT.from}"
          height="${size(right)}"
      /></g>`;
    });
  const faults = refused.map(({ deviceAddress, length, access, cause }) => {
    const [from, to] = spanOf(device, deviceAddress, BigInt(length));
    const words = `refused ${access} of ${plural(length, 'byte')} at device ${formatAddress(deviceAddress)}: ${cause}`;
    return html`<g class="block refused" role="img" tabindex="-1" aria-label="${words}">
      <rect
        x="${LEFT.from}"
        y="${y(from)}"
        width="${LEFT.to - LEFT.from}"
        height="${size([from, Math.max(to, from + 6)])}" />
      <path class="nowhere" d="M${LEFT.to} ${y(from + 3)}h26m-5 -5l10 10m0 -10l-10 10"
    /></g>`;
  });
  return html`<svg viewBox="0 0 ${WIDTH} ${y(bottom + 10)}" role="group" aria-label="Device addresses and guest memory">
    <text class="column" x="${(LEFT.from + LEFT.to) / 2}" y="14">device</text>
    <text class="column" x="${(RIGHT.from + RIGHT.to) / 2}" y="14">guest memory</text>
    <rect class="space" x="${LEFT.from}" y="${TOP - 4}" width="${LEFT.to - LEFT.from}" height="${bottom + 8}" />
    <rect
      class="space${isRestricted && ' private'}"
      x="${RIGHT.from}"
      y="${TOP - 4}"
      width="${RIGHT.to - RIGHT.from}"
      height="${bottom + 8}"
    />
    ${windows.map(({ deviceAddress, length }) => {
      const [from, to] = [device.yOf(deviceAddress), device.yOf(deviceAddress + BigInt(length))];
      return html`<path class="window" d="M${LEFT.to + 5} ${y(from - 4)}h-4V${y(Math.max(to, from) + 4)}h4" />`;
    })}
    ${blocks}${faults} ${labels(device, LEFT.label, 'end')}${labels(guest, RIGHT.label, 'start')}
  </svg>`;
}

type Span = readonly [from: number, to: number];

function spanOf(layout: ColumnLayout, start: bigint, length: bigint): Span {
  return [layout.yOf(start), layout.yOf(start + length)];
}

function y(value: number): string {
  return (value + TOP).toFixed(1);
}

/** A block that is there is seen. */
function size([from, to]: Span): string {
  return Math.max(1.5, to - from).toFixed(1);
}

function ribbon([a, b]: Span, [c, d]: Span): string {
  const middle = (LEFT.to + RIGHT.from) / 2;
  const [low, high] = [Math.max(b, a + 1.5), Math.max(d, c + 1.5)];
  return (
    `M${LEFT.to} ${y(a)}C${middle} ${y(a)} ${middle} ${y(c)} ${RIGHT.from} ${y(c)}` +
    `V${y(high)}C${middle} ${y(high)} ${middle} ${y(low)} ${LEFT.to} ${y(low)}z`
  );
}

function rangeText(start: bigint, length: bigint): string {
  return `${formatAddress(start)} to ${formatAddress(start + (length > 0n ? length - 1n : 0n))}`;
}

/** The first address of each run that has room for it. */
function labels({ runs }: ColumnLayout, x: number, anchor: 'start' | 'end'): Markup[] {
  let last = -Infinity;
  return runs.flatMap(({ start, y: top, height }) => {
    const at = top + Math.min(height, LINE) / 2 + 3.5;
    if (at - last < LINE) return [];
    last = at;
    return [html`<text class="address" x="${x}" y="${y(at)}" text-anchor="${anchor}">${formatAddress(start)}</text>`];
  });
}
