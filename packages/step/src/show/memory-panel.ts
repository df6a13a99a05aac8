import { DmaDirection } from '@virtio-platform/core/dma';
import type { Recording } from '../record/recording.ts';
import { regionName } from '../state/region-names.ts';
import { mappingAt, type MappingState, type RunState } from '../state/run-state.ts';
import type { Step } from '../walk.ts';
import type { Paint } from './paint.ts';
import { columnsOf, windowOf, type PanelLine, type Room } from './panel.ts';
import { painter } from './ring-panel.ts';

/** What the device may reach after a step, by device address, and where that is in guest memory. */
export function memoryPanel(recording: Recording, step: Step, { rows, width, paint }: Room): PanelLine[] {
  const { after, event } = step;
  const mappings = after.mappings.toSorted(byDeviceAddress);
  const path = after.path === null ? '' : `, path ${after.path}`;
  const head: PanelLine = { text: `DEVICE ADDRESSES${path}`, paint: paint.bold };
  if (mappings.length === 0) return [head, { text: ' the device may reach nothing yet', paint: paint.dim }];
  const touched = mappingAt(after, event.deviceAddress);
  const isNamed = (mapping: MappingState): boolean =>
    mapping === touched ||
    after.buffers.some(
      ({ serial, queue, mappings: own }) =>
        step.buffers.includes(serial) && queue === mapping.queue && own.includes(mapping.id),
    );
  const at = Math.max(0, mappings.findIndex(isNamed));
  const { from, to } = windowOf(mappings.length, rows - 2, at, Math.max(at, mappings.findLastIndex(isNamed)));
  const part = mappings.slice(from, to);
  const cells = part.map((mapping) => cellsOf(recording, after, mapping));
  const table = columnsOf([COLUMNS, ...cells], COLUMNS, RIGHT, width - 1);
  return [
    head,
    ...table.map((text, i): PanelLine => {
      const mapping = part[i - 1];
      if (mapping === undefined) return { text: ` ${text}`, paint: paint.dim };
      return { text: `${isNamed(mapping) ? '>' : ' '}${text}`, paint: ownerPaint(after, mapping, paint) };
    }),
  ];
}

/** The columns; the last one is left out where there is no room for it. */
const COLUMNS = ['what', 'rw', 'device', 'guest', 'bytes'];
const RIGHT = new Set(['bytes']);

function byDeviceAddress(a: MappingState, b: MappingState): number {
  return a.deviceAddress < b.deviceAddress ? -1 : a.deviceAddress > b.deviceAddress ? 1 : 0;
}

function cellsOf(recording: Recording, state: RunState, mapping: MappingState): readonly string[] {
  const { deviceAddress, address, length, direction } = mapping;
  const addresses = [`0x${deviceAddress.toString(16)}`, `0x${address.toString(16)}`];
  return [what(recording, state, mapping), access(direction), ...addresses, String(length)];
}

/** Who may do what: r the device reads, w it writes. */
function access(direction: number): string {
  if (direction === DmaDirection.ToDevice) return 'r';
  return direction === DmaDirection.FromDevice ? 'w' : 'rw';
}

function what(recording: Recording, { buffers }: RunState, { kind, queue, id, address }: MappingState): string {
  if (kind === 'buffer') {
    const owner = buffers.find((one) => one.queue === queue && one.mappings.includes(id));
    return owner === undefined ? 'new' : `buf ${owner.id}`;
  }
  const name = regionName(recording, address);
  if (kind === 'pool') return 'pool';
  return name === undefined ? 'shared' : name.startsWith('the ring') ? `ring ${queue}` : `tables ${queue}`;
}

function ownerPaint({ buffers }: RunState, { kind, queue, id }: MappingState, paint: Paint): (text: string) => string {
  if (kind !== 'buffer') return paint.dim;
  return painter(buffers.find((one) => one.queue === queue && one.mappings.includes(id))?.owner ?? 'driver', paint);
}
