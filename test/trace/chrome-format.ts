/** One entry of `traceEvents`, as a reader that knows only the format takes it. */
interface Entry {
  readonly ph: string;
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly id?: string;
  readonly s?: string;
  readonly args?: Readonly<Record<string, unknown>>;
}

/**
 * What is wrong with a trace in Chrome's JSON format, by its documentation ("Trace Event Format", Google, 2016) and by
 * what Perfetto's importer drops or reports: a field that a phase needs, slices of a thread that overlap without one
 * being in the other, an asynchronous slice that is not ended or ends another one, an arrow that begins or ends outside
 * of a slice, a counter without a number, a track without a name.
 */
export function formatProblems(text: string): string[] {
  const { traceEvents, displayTimeUnit }: { traceEvents: Entry[]; displayTimeUnit: string } = JSON.parse(text);
  const problems: string[] = [];
  if (!['ms', 'ns'].includes(displayTimeUnit)) problems.push(`displayTimeUnit is ${displayTimeUnit}`);
  for (const [at, entry] of traceEvents.entries()) {
    const problem = fieldProblem(entry);
    if (problem !== undefined) problems.push(`event ${at} (${entry.ph} ${entry.name}): ${problem}`);
  }
  // As the importer does: by time, and by their order in the file at the same time.
  const events = traceEvents.filter(({ ph }) => ph !== 'M').toSorted((a, b) => a.ts - b.ts);
  const named = new Set(
    traceEvents.filter(({ name }) => name === 'thread_name').map(({ pid, tid }) => `${pid}.${tid}`),
  );
  problems.push(
    ...nestingProblems(events),
    ...asyncProblems(events),
    ...arrowProblems(events),
    ...counterProblems(events),
  );
  for (const { pid, tid } of events) if (!named.has(`${pid}.${tid}`)) problems.push(`thread ${pid}.${tid} has no name`);
  return problems.slice(0, 10);
}

function fieldProblem({ ph, name, pid, tid, ts, dur, cat, id, s, args }: Entry): string | undefined {
  if (typeof name !== 'string' || name === '') return 'has no name';
  if (!Number.isInteger(pid) || !Number.isInteger(tid)) return 'has no process or thread';
  if (ph !== 'M' && !(Number.isFinite(ts) && ts >= 0)) return `has no time: ${ts}`;
  switch (ph) {
    case 'M':
      return args?.['name'] === undefined && args?.['sort_index'] === undefined ? 'names nothing' : undefined;
    case 'X':
      return dur !== undefined && dur >= 0 ? undefined : `has no duration: ${dur}`;
    case 'i':
      return s !== undefined && 'tpg'.includes(s) ? undefined : `reaches no scope: ${s}`;
    case 'C':
      return Object.values(args ?? {}).every(Number.isFinite) && args !== undefined ? undefined : 'has no number';
    case 'b':
    case 'e':
    case 's':
    case 'f':
      return cat !== undefined && id !== undefined ? undefined : 'has no category or id';
    default:
      return `has phase ${ph}`;
  }
}

/** Slices of a thread lie in each other or apart. */
function nestingProblems(events: readonly Entry[]): string[] {
  const problems: string[] = [];
  const open = new Map<string, number[]>();
  for (const { ph, pid, tid, ts, dur, name } of events) {
    if (ph !== 'X') continue;
    const key = `${pid}.${tid}`;
    const ends = (open.get(key) ?? []).filter((end) => nanoseconds(end) > nanoseconds(ts));
    if (ends.some((end) => nanoseconds(ts + dur!) > nanoseconds(end))) problems.push(`${name} at ${ts} overlaps`);
    open.set(key, [...ends, ts + dur!]);
  }
  return problems;
}

/** Every end has the beginning of the same name, the last one that is open. */
function asyncProblems(events: readonly Entry[]): string[] {
  const problems: string[] = [];
  const open = new Map<string, string[]>();
  for (const { ph, cat, id, name, ts } of events) {
    if (ph !== 'b' && ph !== 'e') continue;
    const key = `${cat} ${id}`;
    const names = open.get(key) ?? [];
    open.set(key, names);
    if (ph === 'b') names.push(name);
    else if (names.pop() !== name) problems.push(`${name} ends at ${ts} and was not the last to begin`);
  }
  for (const [key, names] of open) if (names.length > 0) problems.push(`${key}: ${names.join()} never ends`);
  return problems;
}

/** An arrow has both ends, in this order, each in a slice of its thread. */
function arrowProblems(events: readonly Entry[]): string[] {
  const problems: string[] = [];
  const begun = new Set<string>();
  const slices = new Map<string, Set<number>>();
  for (const { ph, pid, tid, ts } of events) {
    if (ph !== 'X') continue;
    const key = `${pid}.${tid}`;
    slices.set(key, (slices.get(key) ?? new Set()).add(nanoseconds(ts)));
  }
  for (const { ph, pid, tid, ts, cat, id } of events) {
    if (ph !== 's' && ph !== 'f') continue;
    const key = `${cat} ${id}`;
    if (slices.get(`${pid}.${tid}`)?.has(nanoseconds(ts)) !== true) problems.push(`${key}: ${ph} is in no slice`);
    if (ph === 's') begun.add(key);
    else if (!begun.delete(key)) problems.push(`${key}: an arrow ends that did not begin`);
  }
  for (const key of begun) problems.push(`${key}: an arrow does not end`);
  return problems;
}

function counterProblems(events: readonly Entry[]): string[] {
  const problems: string[] = [];
  const last = new Map<string, number>();
  for (const { ph, pid, name, ts } of events) {
    if (ph !== 'C') continue;
    const key = `${pid} ${name}`;
    if (last.get(key) === ts) problems.push(`${name} has two values at ${ts}`);
    last.set(key, ts);
  }
  return problems;
}

function nanoseconds(microseconds: number): number {
  return Math.round(microseconds * 1000);
}
