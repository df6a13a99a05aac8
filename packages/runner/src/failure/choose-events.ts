import { QUEUE_BROKEN } from '@virtio-platform/core/queue';
import type { EventKind, TraceEvent } from '@virtio-platform/trace';
import { describeEvents } from './describe-event.ts';
import type { FailureEvidence } from './failure-evidence.ts';
import type { ExplainedEvent } from './failure-explanation.ts';

/** The most events of an explanation. */
const MOST_EVENTS = 12;
/** Of them, the last ones of the queue; the others are of the buffer. */
const MOST_LAST = 6;
/** Events that say nothing of the order in which driver and device handed over buffers. */
const NOISE: ReadonlySet<EventKind> = new Set([
  'map',
  'unmap',
  'syncForCpu',
  'syncForDevice',
  'premap',
  'coherent',
  'release',
  'read',
  'write',
  'borrow',
  'enableNotifications',
  'configRead',
  'features',
  'negotiation',
  'status',
]);
/** Events of one kind that follow each other are one line. */
const GROUPED: ReadonlySet<EventKind> = new Set(['add', 'takeUsed', 'wait', 'pop', 'push']);

/**
 * The events that tell how it came to a failure of `buffer` in `queue`, in order: the story of the buffer since it was
 * added last, `more` that belong to it, and the last events of the queue. Without a queue, the last events of the run.
 */
export function chooseEvents(
  evidence: FailureEvidence,
  queue: number | null,
  buffer: number | null,
  more: readonly TraceEvent[] = [],
): readonly ExplainedEvent[] {
  // Without what a driver tries on a broken queue.
  const events = evidence.events.filter(({ kind, id }) => kind !== 'add' || id !== QUEUE_BROKEN);
  const ofBuffer = queue === null || buffer === null ? [] : bufferStory(events, queue, buffer);
  const story = new Set([...more, ...ofBuffer]);
  const groups: TraceEvent[][] = [];
  for (const event of events) {
    const isOurs = queue === null || event.queue === queue || event.queue < 0;
    if (!story.has(event) && (!isOurs || NOISE.has(event.kind))) continue;
    const group = groups.at(-1);
    const before = group?.[0];
    const isAlike =
      before?.kind === event.kind &&
      before.queue === event.queue &&
      before.id < 0 === event.id < 0 &&
      GROUPED.has(event.kind);
    if (isAlike && !story.has(event) && !story.has(before)) group!.push(event);
    else groups.push([event]);
  }
  const told = groups.filter(([first]) => story.has(first!));
  const last = groups.slice(-MOST_LAST);
  const chosen = new Set([...told.slice(0, MOST_EVENTS - last.length), ...last]);
  let next = -1;
  return groups
    .filter((group) => chosen.has(group))
    .map((group): ExplainedEvent => {
      const [first] = group;
      const { index, time } = group.at(-1)!;
      const skipped = next < 0 ? 0 : first!.index - next;
      next = index + 1;
      const { kind } = first!;
      const of = first!.queue < 0 ? null : first!.queue;
      return { index, time, kind, queue: of, text: describeEvents(group), isOfBuffer: story.has(first!), skipped };
    });
}

/** The events of a buffer since it was added last: its mappings, how the device saw it, and how it came back. */
function bufferStory(events: readonly TraceEvent[], queue: number, buffer: number): TraceEvent[] {
  const isOf = (kind: EventKind) => (event: TraceEvent) => event.queue === queue && event.kind === kind;
  const added = events.findLastIndex((event) => isOf('add')(event) && event.id === buffer);
  const story: TraceEvent[] = [];
  if (added >= 0) {
    for (let at = added - 1; at >= 0 && isOf('map')(events[at]!); at--) story.unshift(events[at]!);
    const published = events.findIndex((event, at) => at > added && isOf('publish')(event));
    const notified = events.findIndex((event, at) => published >= 0 && at > published && isOf('notify')(event));
    const again = events.findIndex((event, at) => published >= 0 && at > published && isOf('publish')(event));
    story.push(events[added]!);
    if (published >= 0) story.push(events[published]!);
    if (notified >= 0 && (again < 0 || notified < again)) story.push(events[notified]!);
  }
  const rest = events.slice(Math.max(0, added)).filter((event) => {
    const isDone = isOf('takeUsed')(event) || isOf('pop')(event) || isOf('push')(event) || isOf('takeBack')(event);
    return isDone && event.id === buffer;
  });
  return [...story, ...rest.slice(-3)];
}
