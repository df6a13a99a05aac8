import { readFile } from 'node:fs/promises';
import { CodedError, messageOf } from '@virtio-platform/core';
import { KIND, type EventKind } from '../event-kind.ts';
import type { Trace, TraceEvent } from '../trace-event.ts';
import { TRACE_FORMAT, TRACE_VERSION } from './trace-file.ts';

/** A run as it is read from a file. */
export interface ReadRun {
  readonly name: string;
  readonly trace: Trace;
}

type Values = Readonly<Record<string, unknown>>;

/**
 * Reads the runs of a file that `TraceFile` wrote, in their order, each as its recorder gave it. Throws `CodedError`
 * `ERR_TRACE_FILE` for a file that cannot be read, or is another one.
 */
export async function readTraceFile(path: string): Promise<readonly ReadRun[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw unreadable(path, messageOf(cause), 'name a file that `run --trace FILE` wrote', cause);
  }
  return parseTrace(text, path);
}

/** The runs of the text of a trace file; `path` is for errors. Throws as {@link readTraceFile} does. */
export function parseTrace(text: string, path: string = 'the trace'): readonly ReadRun[] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw unreadable(path, messageOf(cause), 'the file is cut off, or no trace: make it again', cause);
  }
  const other = isValues(document) ? document['otherData'] : undefined;
  if (!isValues(document) || !isValues(other) || other['format'] !== TRACE_FORMAT)
    throw unreadable(path, 'another program wrote it', 'name a file that `run --trace FILE` wrote');
  if (other['version'] !== TRACE_VERSION) {
    const problem = `it has version ${String(other['version'])} of the format, and this program reads ${TRACE_VERSION}`;
    throw unreadable(path, problem, 'read it with the version of virtio-platform that wrote it');
  }
  const runs = listOf(other['runs'], 'runs', path);
  const events = eventsByRun(listOf(document['traceEvents'], 'traceEvents', path), path);
  return runs.map((run, at): ReadRun => {
    const { name, pid, dropped } = isValues(run) ? run : {};
    if (typeof name !== 'string' || typeof pid !== 'number' || typeof dropped !== 'number')
      throw unreadable(path, `run ${at + 1} has no name, number or count of dropped events`, CHANGED);
    return { name, trace: { events: (events.get(pid) ?? []).toSorted((a, b) => a.index - b.index), dropped } };
  });
}

const CHANGED = 'the file was changed: make it again';

function eventsByRun(list: readonly unknown[], path: string): Map<number, TraceEvent[]> {
  const byRun = new Map<number, TraceEvent[]>();
  for (const [at, entry] of list.entries()) {
    const args = isValues(entry) ? entry['args'] : undefined;
    // Slices, arrows, counters and names follow from the events.
    if (!isValues(entry) || !isValues(args) || args['kind'] === undefined) continue;
    const event = eventOf(args);
    const pid = entry['pid'];
    if (event === undefined || typeof pid !== 'number')
      throw unreadable(path, `entry ${at} of traceEvents is no event: ${JSON.stringify(args)}`, CHANGED);
    const run = byRun.get(pid);
    if (run === undefined) byRun.set(pid, [event]);
    else run.push(event);
  }
  return byRun;
}

function eventOf(args: Values): TraceEvent | undefined {
  const { kind, index, time, queue, id, length, extra, address = null, deviceAddress = '0x0', text = null } = args;
  if (!isKind(kind) || !isNumber(index) || !isNumber(time) || !isNumber(queue) || !isNumber(id)) return undefined;
  if (!isNumber(length) || !isNumber(extra) || !(address === null || isNumber(address))) return undefined;
  if (typeof deviceAddress !== 'string' || !/^0x[0-9a-f]{1,16}$/.test(deviceAddress)) return undefined;
  if (!(text === null || typeof text === 'string')) return undefined;
  return { index, time, kind, queue, id, address, deviceAddress: BigInt(deviceAddress), length, extra, text };
}

function isKind(value: unknown): value is EventKind {
  return typeof value === 'string' && Object.hasOwn(KIND, value);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isValues(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function listOf(value: unknown, name: string, path: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw unreadable(path, `it has no list ${name}`, CHANGED);
}

function unreadable(path: string, problem: string, hint: string, cause?: unknown): CodedError {
  return new CodedError('ERR_TRACE_FILE', `${path} cannot be read as a trace: ${problem}`, { hint, cause });
}
