import { DescriptorChain } from '@virtio-platform/core/queue';
import { copyChain } from '@virtio-platform/device-kit';

/** Commands that are held at once; a device says BUSY to more. */
const MOST_HELD = 16;
/** Segments of a command that can be held. */
const MOST_SEGMENTS = 1024;

/** A command that waits for its time. */
export interface HeldCommand {
  /** A copy: the queue reuses its own. */
  readonly chain: DescriptorChain;
  queue: number;
  /** The unit that it is for. */
  key: number;
  /** The two words of its id. */
  low: number;
  high: number;
  /** When it is answered, by `performance.now`. */
  due: number;
}

/** The commands that a device took and has not answered: its task set, in the order in which they came. */
export class HeldCommands {
  readonly #free: HeldCommand[] = [];
  #held: HeldCommand[] = [];

  /** Whether another command with this chain can be held. */
  hasRoom({ count }: DescriptorChain): boolean {
    return this.#held.length < MOST_HELD && count <= MOST_SEGMENTS;
  }

  /** When the next one is due; `Infinity` where none is held. */
  get nextDue(): number {
    return this.#held[0]?.due ?? Infinity;
  }

  /** Holds a command. */
  hold(chain: DescriptorChain, queue: number, key: number, low: number, high: number, due: number): void {
    const command = this.#free.pop() ?? { chain: new DescriptorChain(MOST_SEGMENTS), queue, key, low, high, due };
    copyChain(command.chain, chain);
    Object.assign(command, { queue, key, low, high, due });
    this.#held.push(command);
  }

  /** Whether a command of a queue is held. Hot. */
  hasOfQueue(queue: number): boolean {
    for (let i = 0; i < this.#held.length; i++) if (this.#held[i]!.queue === queue) return true;
    return false;
  }

  /** Whether a command is held that `isWanted` says yes to. */
  has(isWanted: (command: HeldCommand) => boolean): boolean {
    return this.#held.some(isWanted);
  }

  /** Ends the commands that `isWanted` says yes to, each with `end` unless the driver has them back already. */
  take(isWanted: (command: HeldCommand) => boolean, end?: (command: HeldCommand) => void): void {
    const taken = this.#held.filter(isWanted);
    this.#held = this.#held.filter((command) => !taken.includes(command));
    for (const command of taken) {
      end?.(command);
      this.#free.push(command);
    }
  }

  /** Forgets all of them: a reset took them back. */
  clear(): void {
    this.take(() => true);
  }
}
