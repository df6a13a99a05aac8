import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('served-disk.mjs', import.meta.url));
/** What the start of a process takes on a slow computer. */
const START_MS = 30_000;
/** What a guest takes there for the requests after which a disk kills itself. */
const LIFE_MS = 90_000;

/** What a {@link KilledDisk} serves, and where. */
export interface KilledDiskOptions {
  readonly socket: string;
  readonly image: string;
  /** Bytes. */
  readonly capacity: number;
  readonly layout: string;
  /** What it offers, as bits. */
  readonly features: bigint;
  /** It kills itself instead of notifying its driver for the so-many-th time: what it returned is shown by then. */
  readonly lastCall?: number;
}

/** A disk in a process of its own, that a test kills. */
export class KilledDisk {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #output = '';

  constructor({ socket, image, capacity, layout, features, lastCall = Infinity }: KilledDiskOptions) {
    const words = [socket, image, String(capacity), layout, String(features), String(lastCall)];
    this.#child = spawn(process.execPath, [PROGRAM, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child.stdout!.on('data', (chunk) => (this.#output += String(chunk)));
    this.#ended = once(this.#child, 'close');
  }

  /** What happened: kind and text of each event. */
  get events(): string[] {
    return this.#output.split('\n').filter((line) => line !== '');
  }

  /** Waits for an event. Throws, with all that happened, where it does not come. */
  async until(kind: string): Promise<void> {
    for (const end = performance.now() + START_MS; !this.#output.includes(kind); await setTimeout(2))
      if (performance.now() > end) throw new Error(`no ${kind}: ${this.#output}`);
  }

  /** Waits until it killed itself. Throws, with all that happened, where it does not. */
  async untilDead(): Promise<void> {
    for (const end = performance.now() + LIFE_MS; this.#child.signalCode === null; await setTimeout(2))
      if (performance.now() > end) throw new Error(`still alive: ${this.#output}`);
    await this.#ended;
  }

  /** Sends a signal, and waits for the end of the process. */
  async end(signal: NodeJS.Signals): Promise<void> {
    this.#child.kill(signal);
    await this.#ended;
  }
}
