import type { TraceEvent } from '../trace-event.ts';
import { queueTrack, TRACKS, type ChromeEvent } from './chrome-event.ts';

/** A buffer between `add` and `takeUsed`. */
interface OpenBuffer {
  /** Of its slices and its arrow. */
  readonly id: string;
  /** When it was shown to the device; -1 before. */
  publishedAt: number;
  /** Whether the device has it. */
  isPopped: boolean;
}

/**
 * The slice of each buffer from `add` to `takeUsed`, the slice in it from `pop` to `push`, and the arrow from `publish`
 * to `pop`. A buffer whose beginning was dropped has none.
 */
export class BufferSlices {
  readonly #pid: number;
  readonly #emit: (event: ChromeEvent) => void;
  /** By queue and id. */
  readonly #open = new Map<string, OpenBuffer>();
  /** By queue: what was added and not published. */
  readonly #unpublished = new Map<number, OpenBuffer[]>();
  #count = 0;

  constructor(pid: number, emit: (event: ChromeEvent) => void) {
    this.#pid = pid;
    this.#emit = emit;
  }

  /** Takes an event that happened at `ts`. */
  take(event: TraceEvent, ts: number): void {
    const { kind, queue, id } = event;
    const key = `${queue} ${id}`;
    if (kind === 'add' && id >= 0) this.#add(key, event, ts);
    else if (kind === 'publish') this.#publish(queue, ts);
    else if (kind === 'pop') this.#pop(key, event, ts);
    else if (kind === 'push') this.#push(key, event, ts);
    else if (kind === 'takeUsed' || kind === 'takeBack')
      this.#end(key, queue, ts, { end: kind, written: event.length });
  }

  /** Ends what is open: buffers that did not come back. */
  end(ts: number): void {
    for (const key of this.#open.keys()) this.#end(key, Number(key.split(' ')[0]), ts, { end: 'end of the trace' });
  }

  #add(key: string, { queue, id, length, extra }: TraceEvent, ts: number): void {
    const buffer: OpenBuffer = { id: `${this.#pid}.${this.#count++}`, publishedAt: -1, isPopped: false };
    // The driver has no id twice: what is open was taken back unseen.
    if (this.#open.has(key)) this.#end(key, queue, ts, { end: 'unknown' });
    this.#open.set(key, buffer);
    const unpublished = this.#unpublished.get(queue);
    if (unpublished === undefined) this.#unpublished.set(queue, [buffer]);
    else unpublished.push(buffer);
    this.#slice('b', bufferName(queue), buffer, queue, ts, { buffer: id, bytes: length, segments: extra & 0xffff });
  }

  #publish(queue: number, ts: number): void {
    for (const buffer of this.#unpublished.get(queue) ?? []) buffer.publishedAt = ts;
    this.#unpublished.set(queue, []);
  }

  #pop(key: string, { queue, id, length }: TraceEvent, ts: number): void {
    const buffer = this.#open.get(key);
    if (buffer === undefined || buffer.isPopped) return;
    buffer.isPopped = true;
    this.#slice('b', 'device', buffer, queue, ts, { head: id, bytes: length });
    if (buffer.publishedAt < 0) return;
    const arrow = { name: 'available', cat: 'arrow', pid: this.#pid, id: buffer.id };
    this.#emit({ ...arrow, ph: 's', tid: TRACKS.driver, ts: buffer.publishedAt });
    this.#emit({ ...arrow, ph: 'f', bp: 'e', tid: TRACKS.device, ts });
  }

  #push(key: string, { queue, length }: TraceEvent, ts: number): void {
    const buffer = this.#open.get(key);
    if (buffer?.isPopped !== true) return;
    buffer.isPopped = false;
    this.#slice('e', 'device', buffer, queue, ts, { written: length });
  }

  #end(key: string, queue: number, ts: number, args: Readonly<Record<string, unknown>>): void {
    const buffer = this.#open.get(key);
    if (buffer === undefined) return;
    this.#open.delete(key);
    if (buffer.isPopped) this.#slice('e', 'device', buffer, queue, ts, { end: 'not pushed' });
    this.#slice('e', bufferName(queue), buffer, queue, ts, args);
  }

  #slice(
    ph: 'b' | 'e',
    name: string,
    { id }: OpenBuffer,
    queue: number,
    ts: number,
    args: Readonly<Record<string, unknown>>,
  ): void {
    this.#emit({ ph, name, cat: 'buffer', id, pid: this.#pid, tid: queueTrack(queue), ts, args });
  }
}

/** The same name for all of a queue, so that Perfetto shows them on one track. */
function bufferName(queue: number): string {
  return `queue ${queue}: buffer`;
}
