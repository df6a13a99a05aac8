import type { BenchBuffer, ConformBench, NotificationSource } from '@virtio-platform/core';
import { COMMON } from './common-registers.ts';
import type { MsixRegisters } from './msix-registers.ts';
import type { PciBench } from './pci-bench.ts';

/** The interrupt line; a vector for each queue; one vector for all. */
export const INTERRUPT_WAYS = ['intx', 'msix', 'msix-shared'] as const;
/** One of {@link INTERRUPT_WAYS}. */
export type InterruptWay = (typeof INTERRUPT_WAYS)[number];

/** Memory to which each vector of a function writes a word. */
export class MessageMemory {
  readonly #msix: MsixRegisters;
  readonly #buffer: BenchBuffer;

  /** Enables MSI-X, with all vectors in memory. */
  constructor(bench: ConformBench, msix: MsixRegisters) {
    this.#msix = msix;
    this.#buffer = bench.allocate('messages of interrupts', 4 * msix.size, 64);
    this.#buffer.write(new Uint8Array(4 * msix.size));
    bench.lend(this.#buffer);
    this.open();
    // What was pending of another case came by now.
    this.takeAll();
  }

  /** Enables MSI-X, and gives each vector its word. */
  open(): void {
    for (let vector = 0; vector < this.#msix.size; vector++) this.receive(vector, vector);
    this.#msix.enable(true);
  }

  /** Has a vector write `data`, at least 1, to a word. */
  receive(vector: number, word: number, data = 1): void {
    const low = (this.#buffer.low + 4 * word) >>> 0;
    this.#msix.send(vector, low, this.#buffer.high + (low < this.#buffer.low ? 1 : 0), data);
  }

  /** What a word has, 0 where no message came; 0 from then on. */
  take(word: number): number {
    const value = new DataView(this.#buffer.read(4 * word, 4).slice().buffer).getUint32(0, true);
    if (value !== 0) this.#buffer.write(new Uint8Array(4), 4 * word);
    return value;
  }

  /** The vectors whose messages came since the last call. */
  takeAll(): readonly number[] {
    return Array.from({ length: this.#msix.size }, (_, vector) => vector).filter((vector) => this.take(vector) !== 0);
  }
}

/** The interrupts of a device by one way. Skips the case where the function does not have it. */
export function interruptsBy(way: InterruptWay, bench: ConformBench, pci: PciBench): NotificationSource {
  if (way === 'intx') {
    return { enabled: () => pci.useInterruptLine(), take: () => pci.takeIsr() !== 0 };
  }
  const msix = pci.messageVectors();
  let memory: MessageMemory | undefined;
  const vectorOf = (queue: number): number =>
    way === 'msix-shared' || msix.size === 1 ? 0 : 1 + (bench.enabled.indexOf(queue) % (msix.size - 1));
  return {
    enabled: (queue) => {
      memory ??= new MessageMemory(bench, msix);
      memory.open();
      pci.write(COMMON.configVector, 0);
      pci.writeOf(queue, COMMON.queueVector, vectorOf(queue));
      bench.equal(`the vector of queue ${queue}`, pci.read(COMMON.queueVector), vectorOf(queue));
    },
    take: () => (memory?.takeAll().length ?? 0) > 0,
  };
}

/** Takes no interrupt at all: the case looks at them itself. */
export const UNTAKEN: NotificationSource = { enabled: () => {}, take: () => false };
