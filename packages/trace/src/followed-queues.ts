import type { BufferLife } from '@virtio-platform/core/queue';
import { KIND } from './event-kind.ts';
import type { FollowedQueue } from './recorder.ts';

/** Ends that were reset and whose buffers are still known. */
const MOST_ENDED = 16;

/** The buffers of one driver's end, from its start to its reset. */
interface Followed {
  readonly queue: number;
  readonly end: FollowedQueue;
  /** What the end knew when it was reset. */
  kept: readonly BufferLife[] | undefined;
}

/** The ends of queues that a flight recorder finds buffers in, which it stored nothing of. */
export class FollowedQueues {
  /** By number. */
  readonly #followed = new Map<number, Followed>();
  /** By queue: the number of its driver's end. */
  readonly #current = new Map<number, number>();
  readonly #devices = new Map<number, () => void>();
  #next = 1;

  /** A driver's end begins. */
  follow(queue: number, end: FollowedQueue): void {
    this.#followed.set(this.#next, { queue, end, kept: undefined });
    this.#current.set(queue, this.#next++);
  }

  /** A driver's end is reset. */
  unfollow(queue: number): void {
    const followed = this.#followed.get(this.numberOf(queue));
    if (followed === undefined) return;
    this.settle();
    followed.kept = followed.end.lives();
    this.#devices.delete(queue);
    const ended = [...this.#followed].filter(([, { kept }]) => kept !== undefined);
    for (const [number] of ended.slice(0, -MOST_ENDED)) this.#followed.delete(number);
  }

  /** A device's end begins. */
  followDevice(queue: number, settle: () => void): void {
    this.#devices.set(queue, settle);
  }

  /** The number of the driver's end of a queue; 0 for none. Hot. */
  numberOf(queue: number): number {
    return this.#current.get(queue) ?? 0;
  }

  /** Has every end record what it did not yet. */
  settle(): void {
    for (const { end, kept } of this.#followed.values()) if (kept === undefined) end.settle();
    for (const settle of this.#devices.values()) settle();
  }

  /** Finds the buffers of events, by end and position, as they are known now. */
  reader(): FollowedReader {
    return new FollowedReader((number) => {
      const followed = this.#followed.get(number);
      return followed === undefined ? [] : (followed.kept ?? followed.end.lives());
    });
  }
}

/** By position: the buffers of one end that are known. */
interface KnownBuffers {
  readonly added: ReadonlyMap<number, BufferLife>;
  readonly returned: ReadonlyMap<number, BufferLife>;
}

/** Reads what each end knows once. */
export class FollowedReader {
  readonly #livesOf: (number: number) => readonly BufferLife[];
  readonly #known = new Map<number, KnownBuffers>();

  constructor(livesOf: (number: number) => readonly BufferLife[]) {
    this.#livesOf = livesOf;
  }

  /** The buffer of an event of this kind, at a position of the end with a number; `undefined` where it is forgotten. */
  buffer(number: number, kind: number, position: number): BufferLife | undefined {
    const { added, returned } = this.#of(number);
    return (kind === KIND.add || kind === KIND.pop ? added : returned).get(position | 0);
  }

  #of(number: number): KnownBuffers {
    let known = this.#known.get(number);
    if (known === undefined) {
      const lives = this.#livesOf(number);
      known = {
        added: new Map(lives.map((life) => [life.addedAt | 0, life])),
        returned: new Map(lives.flatMap((life) => (life.returnedAt === undefined ? [] : [[life.returnedAt, life]]))),
      };
      this.#known.set(number, known);
    }
    return known;
  }
}
