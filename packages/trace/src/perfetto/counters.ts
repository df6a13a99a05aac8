import type { TraceEvent } from '../trace-event.ts';
import { TRACKS, type ChromeEvent } from './chrome-event.ts';

/**
 * The counters of a run: both indices and the buffers in flight of each queue, the live mappings, the slots of the pool
 * that buffers are copied through. One value for each time at which it changed.
 */
export class Counters {
  readonly #pid: number;
  readonly #emit: (event: ChromeEvent) => void;
  readonly #values = new Map<string, number>();
  /** Changed at {@link #time}, and not given yet. */
  readonly #changed = new Set<string>();
  #time = 0;

  constructor(pid: number, emit: (event: ChromeEvent) => void) {
    this.#pid = pid;
    this.#emit = emit;
  }

  /** Takes an event that happened at `ts`. */
  take({ kind, queue, id, extra }: TraceEvent, ts: number): void {
    if (ts !== this.#time) this.flush();
    this.#time = ts;
    const [inFlight, live] = [`queue ${queue}: in flight`, 'live mappings'];
    if (kind === 'add' && id >= 0) this.#add(inFlight, 1);
    else if (kind === 'publish') this.#set(`queue ${queue}: available index`, extra & 0xffff);
    else if (kind === 'takeUsed') {
      this.#set(`queue ${queue}: used index`, extra & 0xffff);
      this.#add(inFlight, -1);
    } else if (kind === 'takeBack') this.#add(inFlight, -1);
    else if (kind === 'premap' || kind === 'coherent' || (kind === 'map' && id >= 0)) this.#add(live, 1);
    else if (kind === 'unmap' || kind === 'release') this.#add(live, -1);
    else if (kind === 'pool') this.#set('pool slots', extra);
  }

  /** Gives what changed last. */
  flush(): void {
    const own = { ph: 'C', pid: this.#pid, tid: TRACKS.run, ts: this.#time } as const;
    for (const name of this.#changed) this.#emit({ ...own, name, args: { value: this.#values.get(name) } });
    this.#changed.clear();
  }

  /** What was opened before the first event that is kept is not counted, and not below zero when it ends. */
  #add(name: string, by: number): void {
    this.#set(name, Math.max(0, (this.#values.get(name) ?? 0) + by));
  }

  #set(name: string, value: number): void {
    if (this.#values.get(name) === value) return;
    this.#values.set(name, value);
    this.#changed.add(name);
  }
}
