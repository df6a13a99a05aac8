import type { QueueLayout } from '@virtio-platform/core/queue';
import { vi } from 'vitest';
import type { Operation } from './agent-system.ts';
import type { HandshakePair } from './ring-ends.ts';

/** What an operation returned, and its ordered accesses to shared words on the way. */
export interface Recorded {
  readonly result: boolean;
  readonly accesses: readonly string[];
}

/** Runs an operation of a real queue, and records every atomic access that it makes. */
export function recordReal(layout: QueueLayout, pair: HandshakePair, operation: () => boolean): Recorded {
  const names = wordNames(layout, pair);
  const accesses: string[] = [];
  const nameOf = (view: { readonly BYTES_PER_ELEMENT: number }, index: number): string =>
    names.get(index * view.BYTES_PER_ELEMENT) ?? `byte ${index * view.BYTES_PER_ELEMENT}`;
  const { load, store } = Atomics;
  const loads = vi.spyOn(Atomics, 'load').mockImplementation(((view: Uint16Array, index: number) => {
    accesses.push(`loads ${nameOf(view, index)}`);
    return load(view, index);
  }) as typeof Atomics.load);
  const stores = vi.spyOn(Atomics, 'store').mockImplementation(((view: Uint16Array, index: number, value: number) => {
    accesses.push(`stores ${value} to ${nameOf(view, index)}`);
    return store(view, index, value);
  }) as typeof Atomics.store);
  try {
    return { result: operation(), accesses };
  } finally {
    loads.mockRestore();
    stores.mockRestore();
  }
}

/** Runs an operation of a model alone, over `words`, and records the same. */
export function recordModel(words: Record<string, number>, operation: Operation<boolean>): Recorded {
  const accesses: string[] = [];
  let step = operation.next(0);
  while (step.done !== true) {
    const access = step.value;
    if (access.kind === 'load') accesses.push(`loads ${access.word}`);
    if (access.kind === 'store') {
      // A model keeps the size of a batch above the flags of its slot.
      const value = access.word.startsWith('slot') ? access.value & 0xffff : access.value;
      if (!access.isPlain) accesses.push(`stores ${value} to ${access.word}`);
      words[access.word] = access.value;
    }
    step = operation.next(access.kind === 'load' ? words[access.word]! : 0);
  }
  return { result: step.value, accesses };
}

/** The byte offset of every word of the models. */
function wordNames(layout: QueueLayout, pair: HandshakePair): Map<number, string> {
  const { size, words } = pair.queue.addresses;
  const [descriptor, , driver, , device] = words;
  if (layout === 'split') {
    return new Map([
      [driver!, 'availFlags'],
      [driver! + 2, 'availIdx'],
      [driver! + 4 + 2 * size, 'usedEvent'],
      [device!, 'usedFlags'],
      [device! + 2, 'usedIdx'],
      [device! + 4 + 8 * size, 'availEvent'],
    ]);
  }
  const slots = Array.from({ length: size }, (_, slot): [number, string] => [
    descriptor! + 16 * slot + 14,
    `slot ${slot}`,
  ]);
  return new Map([...slots, [driver!, 'driverEvent'], [device!, 'deviceEvent']]);
}
