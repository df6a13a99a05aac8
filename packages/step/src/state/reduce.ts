import { VIRTIO_F_IN_ORDER, VIRTIO_F_RING_PACKED } from '@virtio-platform/core/features';
import { advance, FIRST_POSITION, slotOf } from '@virtio-platform/core/queue';
import type { StepEvent, WordChange } from '../record/recording.ts';
import { ringView, type RingView } from './ring-view.ts';
import {
  bufferOf,
  hasFeature,
  queueOf,
  type BufferState,
  type MappingState,
  type Owner,
  type QueueState,
  type RunState,
} from './run-state.ts';
import { usedInMemory } from './used-in-memory.ts';

/** How the driver wrote down a decision of negotiation. */
const DECISION = /^(\S+) (accepted|declined) by (\S+): (.*)$/s;

/** The state after an event. Pure: the same state and event give the same. */
export function reduce(state: RunState, event: StepEvent): RunState {
  return seenInMemory(apply(withMemory(state, event), event), event);
}

/** The memory of the rings as it is at the event. */
function withMemory(state: RunState, { placed, changes }: StepEvent): RunState {
  if (placed.length === 0 && changes.length === 0) return state;
  let next = state;
  for (const place of placed) {
    const position = place.layout === 'packed' ? FIRST_POSITION : 0;
    next = withQueue(next, place.queue, {
      place,
      size: place.size,
      available: position,
      taken: position,
      described: position,
      ring: new Uint32Array(Math.ceil(place.length / 4)),
      tables: new Uint32Array((place.tables?.length ?? 0) / 4),
    });
  }
  for (const queue of next.queues) {
    const ring = withWords(queue, 'ring', changes);
    const tables = withWords(queue, 'tables', changes);
    if (ring !== queue.ring || tables !== queue.tables) next = withQueue(next, queue.index, { ring, tables });
  }
  return next;
}

function withWords(queue: QueueState, area: WordChange['area'], changes: readonly WordChange[]): Uint32Array | null {
  const words = queue[area];
  const own = changes.filter((change) => change.queue === queue.index && change.area === area);
  if (words === null || own.length === 0) return words;
  const copy = words.slice();
  for (const { word, after } of own) copy[word] = after;
  return copy;
}

function apply(state: RunState, event: StepEvent): RunState {
  const { kind, queue, id, length, extra, deviceAddress, text } = event;
  switch (kind) {
    case 'status':
      return { ...state, status: extra };
    case 'features':
      return id === 0 ? { ...state, offered: deviceAddress } : { ...state, accepted: deviceAddress };
    case 'negotiation':
      return decide(state, text ?? '');
    case 'enableQueue':
      return withQueue(state, queue, { isEnabled: true, size: extra });
    case 'resetQueue':
      return withQueue(state, queue, { isEnabled: false });
    case 'map':
    case 'premap':
    case 'coherent':
      return map(state, event);
    case 'unmap':
      return { ...state, mappings: state.mappings.filter((one) => one.queue !== queue || one.id !== id) };
    case 'release':
      return release(state, event);
    case 'add':
      return add(state, event);
    case 'publish':
      return publish(state, queue, extra);
    case 'notify':
      return { ...state, notified: state.notified + 1 };
    case 'pop':
      return { ...own(state, queue, (one) => one.id === id, { owner: 'device' }), seesDevice: true };
    case 'push':
      return push(state, queue, id, length);
    case 'flush': {
      const shown = own(state, queue, ({ owner }) => owner === 'pushed', { owner: 'used' });
      return withQueue(shown, queue, { pushed: 0 });
    }
    case 'takeUsed':
      return withQueue(takeBack(state, queue, id), queue, { taken: extra & 0xffff });
    case 'takeBack':
      return rewound(takeBack(state, queue, id), queue);
    case 'read':
    case 'write':
    case 'borrow':
      return { ...state, seesDevice: true };
    case 'interrupt':
      return { ...state, interrupts: state.interrupts + 1 };
    case 'fault':
      return { ...state, faults: state.faults + 1 };
    default:
      return state;
  }
}

function withQueue(state: RunState, index: number, change: Partial<QueueState>): RunState {
  const queues = state.queues.map((queue) => (queue.index === index ? { ...queue, ...change } : queue));
  if (queueOf(state, index) !== undefined) return { ...state, queues };
  const position = hasFeature(state, VIRTIO_F_RING_PACKED) ? FIRST_POSITION : 0;
  const opened: QueueState = {
    index,
    size: 0,
    isEnabled: false,
    available: position,
    taken: position,
    described: position,
    pushed: 0,
    place: null,
    ring: null,
    tables: null,
    pending: [],
    ...change,
  };
  return { ...state, queues: [...queues, opened].toSorted((a, b) => a.index - b.index) };
}

/** Changes the buffers of a queue that `is` chooses. */
function own(
  state: RunState,
  queue: number,
  is: (buffer: BufferState) => boolean,
  change: { readonly owner: Owner; readonly written?: number },
): RunState {
  if (!state.buffers.some((one) => one.queue === queue && is(one))) return state;
  const buffers = state.buffers.map((one) => (one.queue === queue && is(one) ? { ...one, ...change } : one));
  return { ...state, buffers };
}

function decide(state: RunState, text: string): RunState {
  const [, feature, outcome, rule, reason] = DECISION.exec(text) ?? [];
  if (outcome === 'accepted' || outcome === 'declined') {
    const decision = { feature: feature!, outcome, rule: rule!, reason: reason! } as const;
    return { ...state, decisions: [...state.decisions, decision] };
  }
  const path = /^path (\S+)$/.exec(text)?.[1];
  if (path !== undefined) return { ...state, path: path === 'none' ? null : path };
  return text.startsWith('refused by ') ? { ...state, refusal: text.slice('refused by '.length) } : state;
}

/** A negative id is the reason why nothing was mapped. */
function map(state: RunState, { kind, queue, id, address, deviceAddress, length, extra }: StepEvent): RunState {
  if (kind === 'map' && id < 0) return state;
  const mapping: MappingState = {
    queue,
    id,
    kind: kind === 'map' ? 'buffer' : kind === 'premap' ? 'pool' : 'coherent',
    address: address ?? 0,
    deviceAddress,
    length,
    direction: extra,
  };
  const mapped = { ...state, mappings: [...state.mappings, mapping] };
  if (kind !== 'map') return mapped;
  return withQueue(mapped, queue, { pending: [...(queueOf(state, queue)?.pending ?? []), id] });
}

function release(state: RunState, { queue, address, deviceAddress }: StepEvent): RunState {
  const is = (one: MappingState): boolean =>
    one.id === -1 && one.queue === queue && one.address === address && one.deviceAddress === deviceAddress;
  const at = state.mappings.findIndex(is);
  return at < 0 ? state : { ...state, mappings: state.mappings.toSpliced(at, 1) };
}

function add(state: RunState, { queue: index, id, address, length, extra }: StepEvent): RunState {
  const known = withQueue(state, index, {});
  const queue = queueOf(known, index)!;
  if (id < 0) return withQueue(known, index, { pending: [] });
  const view = ringView(queue);
  const segments = extra & 0xffff;
  const { slots, isIndirect } =
    view === undefined ? { slots: [], isIndirect: false } : slotsOf(view, queue, id, segments);
  const buffer: BufferState = {
    serial: state.added + 1,
    queue: index,
    id,
    owner: 'driver',
    segments,
    readable: (extra >>> 16) & 0xffff,
    bytes: length,
    address,
    slots,
    isIndirect,
    mappings: queue.pending,
    written: null,
  };
  const described =
    view?.packed === undefined ? queue.described : advance(queue.described, slots.length, view.place.size);
  const added = { ...known, buffers: [...state.buffers, buffer], added: state.added + 1 };
  return withQueue(added, index, { pending: [], described });
}

/**
 * The slots of a buffer that was just added, by what is in memory: along the chain of a split ring; in a packed one
 * from the position where the driver is, as many as it has segments, or one that refers to a table.
 */
function slotsOf(
  view: RingView,
  { described }: QueueState,
  id: number,
  segments: number,
): Pick<BufferState, 'slots' | 'isIndirect'> {
  const { size } = view.place;
  const first = view.packed === undefined ? id : slotOf(described);
  const isIndirect = view.isTable(view.descriptor(first).address);
  if (view.packed === undefined) return { slots: view.chain(id), isIndirect };
  const count = isIndirect ? 1 : segments;
  return { slots: Array.from({ length: count }, (_, i) => slotOf(advance(described, i, size))), isIndirect };
}

function publish(state: RunState, queue: number, next: number): RunState {
  const shown = own(state, queue, ({ owner }) => owner === 'driver', { owner: 'available' });
  return withQueue(shown, queue, { available: next & 0xffff });
}

function push(state: RunState, queue: number, id: number, written: number): RunState {
  const pushed = own(state, queue, (one) => one.id === id, { owner: 'pushed', written });
  return withQueue({ ...pushed, seesDevice: true }, queue, { pushed: (queueOf(state, queue)?.pushed ?? 0) + 1 });
}

function takeBack(state: RunState, queue: number, id: number): RunState {
  const buffer = bufferOf(state, queue, id);
  if (buffer === undefined) return state;
  return { ...state, buffers: state.buffers.filter((one) => one !== buffer), returned: state.returned + 1 };
}

/** A queue that gives its buffers back after a reset starts again. */
function rewound(state: RunState, index: number): RunState {
  const position = hasFeature(state, VIRTIO_F_RING_PACKED) ? FIRST_POSITION : 0;
  return withQueue(state, index, { available: position, taken: position, described: position, pushed: 0, pending: [] });
}

/** Where the device's own calls are out of sight, what it used shows in memory. */
function seenInMemory(state: RunState, { queue: index }: StepEvent): RunState {
  if (state.seesDevice || state.buffers.length === 0) return state;
  let next = state;
  for (const queue of index < 0 ? state.queues : state.queues.filter((one) => one.index === index)) {
    const waiting = state.buffers.filter((one) => one.queue === queue.index && one.owner !== 'driver');
    const view = waiting.length > 0 ? ringView(queue) : undefined;
    if (view === undefined) continue;
    const used = usedInMemory(view, queue.taken, waiting, hasFeature(state, VIRTIO_F_IN_ORDER));
    if (used.size > 0)
      next = own(next, queue.index, ({ id, owner }) => owner !== 'driver' && used.has(id), { owner: 'used' });
  }
  return next;
}
