import type { ConsolePortEvent } from './console-events.ts';
import type { ConsoleSize } from './console-config.ts';
import type { ConsoleSettings } from './console-settings.ts';
import { type ConsoleChange, type ConsolePortSettings, inOrder } from './port-settings.ts';

/** How often something happens to a port: by its kind and number. */
type Counts = Map<string, number>;

/**
 * Compares what the driver half was told of its ports with what the settings of the device say. A device whose settings
 * have no changes may be changed from outside, such as through the monitor of QEMU: then only names and consoles are
 * compared.
 */
export class ChangeWatch {
  readonly #settings: ConsoleSettings;
  readonly #changes: readonly ConsoleChange[];
  /** Whether the driver hears of ports: without MULTIPORT it has one. */
  readonly #hasControl: boolean;
  /** Whether it hears of the size of port 0. */
  readonly #hasSize: boolean;
  readonly #seen: Counts = new Map();
  /** By port: the sizes that it gets, and how many of them it had. */
  readonly #sizes = new Map<number, { readonly sizes: readonly ConsoleSize[]; seen: number }>();

  constructor(settings: ConsoleSettings, { hasControl, hasSize }: { hasControl: boolean; hasSize: boolean }) {
    this.#settings = settings;
    this.#changes = inOrder(settings.changes);
    this.#hasControl = hasControl;
    this.#hasSize = hasSize;
    for (const { resize } of this.#changes) {
      if (resize === undefined) continue;
      const before = this.#sizes.get(resize.port)?.sizes ?? [];
      this.#sizes.set(resize.port, { sizes: [...before, resize], seen: 0 });
    }
  }

  /** Returns what is wrong with an event, in words; `undefined` where nothing is. */
  see({ kind, port }: ConsolePortEvent): string | undefined {
    if (kind === 'named' || kind === 'console') return this.#compare(kind, port.id, port.name);
    if (this.#changes.length === 0) return undefined;
    if (kind === 'resized') return this.#seeSize(port.id, port.size);
    if (kind === 'opened') return undefined;
    const count = this.#count(kind, port.id) + 1;
    this.#seen.set(keyOf(kind, port.id), count);
    const most = this.#planned(kind, port.id, this.#changes);
    return count <= most ? undefined : `port ${port.id} was ${kind} ${count} times instead of ${most}`;
  }

  /** Whether the driver was told of each change that has to have happened after so many messages. */
  isCaughtUp(completed: number): boolean {
    const due = this.#changes.filter(({ after }) => after <= completed);
    return due.every(({ add, remove, resize }) => {
      if (add !== undefined) return this.#isCounted('added', add.id, due);
      if (remove !== undefined) return this.#isCounted('removed', remove, due);
      return resize === undefined || this.#isResized(resize.port, due);
    });
  }

  #isCounted(kind: 'added' | 'removed', id: number, due: readonly ConsoleChange[]): boolean {
    return !this.#hasControl || this.#count(kind, id) >= this.#planned(kind, id, due);
  }

  #isResized(id: number, due: readonly ConsoleChange[]): boolean {
    if (!this.#hasControl && !(id === 0 && this.#hasSize)) return true;
    // A port that went since can have missed it.
    if (due.some(({ remove }) => remove === id)) return true;
    return this.#sizes.get(id)!.seen >= due.filter(({ resize }) => resize?.port === id).length;
  }

  #count(kind: string, id: number): number {
    return this.#seen.get(keyOf(kind, id)) ?? 0;
  }

  /** How often such a thing happens in these changes. */
  #planned(kind: 'added' | 'removed' | 'closed', id: number, changes: readonly ConsoleChange[]): number {
    if (kind === 'removed') return changes.filter(({ remove }) => remove === id).length;
    if (kind === 'closed') return changes.filter(({ close }) => close === id).length;
    const first = this.#settings.ports.some((port) => port.id === id) ? 1 : 0;
    return first + changes.filter(({ add }) => add?.id === id).length;
  }

  /** A size that was followed by another at once may never be seen. */
  #seeSize(id: number, size: ConsoleSize | undefined): string | undefined {
    const plan = this.#sizes.get(id);
    const text = size === undefined ? 'no size' : `${size.columns} columns and ${size.rows} rows`;
    if (plan === undefined) return `port ${id} has ${text}, and no change gives it a size`;
    const from = Math.max(0, plan.seen - 1);
    const at = plan.sizes.findIndex(
      ({ columns, rows }, index) => index >= from && columns === size?.columns && rows === size.rows,
    );
    if (at < 0) return `port ${id} has ${text}, which no change that is left gives it`;
    plan.seen = at + 1;
    return undefined;
  }

  #compare(kind: 'named' | 'console', id: number, name: string): string | undefined {
    const described = this.#described(id);
    if (described.length === 0) return undefined;
    if (kind === 'console')
      return described.some(({ console }) => console) ? undefined : `port ${id} is a console, against the settings`;
    const names = described.map((port) => port.name);
    if (names.includes(undefined) || names.includes(name)) return undefined;
    return `port ${id} has the name ${JSON.stringify(name)} instead of ${JSON.stringify(names[0])}`;
  }

  /** All that the settings say of the ports of a number. */
  #described(id: number): ConsolePortSettings[] {
    const added = this.#changes.flatMap(({ add }) => (add === undefined ? [] : [add]));
    return [...this.#settings.ports, ...added].filter((port) => port.id === id);
  }
}

function keyOf(kind: string, id: number): string {
  return `${kind} ${id}`;
}
