import { NO_DEVICE_FEATURES, type FeatureTable } from '@virtio-platform/core/features';
import type { MappingSteps } from '@virtio-platform/core/negotiation';
import type { ByteOrder, QueueLayout } from '@virtio-platform/core/queue';
import type { Trace, TraceEvent } from '@virtio-platform/trace';

/** Where the ring of a queue lies in guest memory, and how its fields are to be read. Bytes. */
export interface RingPlace {
  readonly queue: number;
  readonly layout: QueueLayout;
  /** Entries. */
  readonly size: number;
  readonly byteOrder: ByteOrder;
  /** Guest-physical address of the descriptor area. */
  readonly address: number;
  /** Bytes of the three areas together. */
  readonly length: number;
  /** Offsets of the driver area and the device area. */
  readonly driverOffset: number;
  readonly deviceOffset: number;
  /** The indirect tables; `null` for a ring without. `deviceAddress` is that of the first one. */
  readonly tables: { readonly address: number; readonly length: number; readonly deviceAddress: bigint } | null;
}

/** One 32-bit word of the memory of a queue that differs from what it was at the event before. */
export interface WordChange {
  readonly queue: number;
  readonly area: 'ring' | 'tables';
  /** Index of the word in its area. */
  readonly word: number;
  readonly before: number;
  readonly after: number;
}

/** An event with what the memory of the rings has after it. */
export interface StepEvent extends TraceEvent {
  /** Rings that lie somewhere else than at the event before: opened, or resized. Before, they count as zeros. */
  readonly placed: readonly RingPlace[];
  readonly changes: readonly WordChange[];
}

/** A recorded run, from a run of one's own or from a trace. */
export interface Recording {
  /** As the header shows it: the profile, or the file. */
  readonly name: string;
  /** `null` where a trace does not say. */
  readonly platform: string | null;
  readonly machine: string | null;
  readonly device: string | null;
  /** The names of the feature bits of the device type. */
  readonly features: FeatureTable;
  readonly events: readonly StepEvent[];
  /** Events before the first one of these. */
  readonly dropped: number;
  /** Whether the events have the memory of the rings. A trace has none. */
  readonly hasMemory: boolean;
  /** Of the platform, and the path on which they hold; `null` where they are not known. */
  readonly mapping: { readonly path: string; readonly steps: MappingSteps } | null;
  /** What the run came to; `null` where that is not known. */
  readonly outcome: string | null;
  /** Events behind the failure, which gives everything back, that are left out. */
  readonly leftOut: number;
}

/** A trace as a recording: nothing is known but its events. */
export function recordingOf({ events, dropped }: Trace, name: string): Recording {
  const unknown = {
    platform: null,
    machine: null,
    device: null,
    mapping: null,
    outcome: null,
    features: NO_DEVICE_FEATURES,
  };
  const steps = events.map((event): StepEvent => ({ ...event, placed: [], changes: [] }));
  return { name, ...unknown, ...untilFailure(steps), dropped, hasMemory: false };
}

/** The events up to the first failure, and how many there are behind it. */
export function untilFailure(events: readonly StepEvent[]): Pick<Recording, 'events' | 'leftOut'> {
  const failure = events.findIndex(({ kind }) => kind === 'failure');
  const kept = failure < 0 ? events : events.slice(0, failure + 1);
  return { events: whereTheyBelong(withoutCalls(kept)), leftOut: events.length - kept.length };
}

/** The events without the calls of plugins, unless one failed. What changed in memory shows at the next event. */
function withoutCalls(events: readonly StepEvent[]): StepEvent[] {
  const kept: StepEvent[] = [];
  let carried: Pick<StepEvent, 'placed' | 'changes'> = { placed: [], changes: [] };
  for (const event of events) {
    const placed = [...carried.placed, ...event.placed];
    const changes = [...carried.changes, ...event.changes];
    const isCall = event.kind === 'plugin' && event.id === 0;
    if (!isCall) kept.push({ ...event, placed, changes });
    carried = isCall ? { placed, changes } : { placed: [], changes: [] };
  }
  return kept;
}

/**
 * The events with the decisions of negotiation where they were taken: the driver decides after it read the offer, and
 * the recorder is told of it once the device confirmed what was written. A decision has the time of the offer, and
 * keeps its number.
 */
function whereTheyBelong(events: readonly StepEvent[]): StepEvent[] {
  const offer = events.findIndex(({ kind, id }) => kind === 'features' && id === 0);
  const first = events.findIndex(({ kind }) => kind === 'negotiation');
  if (offer < 0 || first <= offer) return [...events];
  const decided = (event: StepEvent): boolean => event.kind === 'negotiation';
  const { time } = events[offer]!;
  return [
    ...events.slice(0, offer + 1),
    ...events.filter(decided).map((event) => ({ ...event, time })),
    ...events.slice(offer + 1).filter((event) => !decided(event)),
  ];
}
