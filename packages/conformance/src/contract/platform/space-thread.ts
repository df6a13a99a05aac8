import type { Worker } from 'node:worker_threads';
import type { AddressSpaceBlueprint } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { skipCheck } from '../../contract-check.ts';
import { startCheckWorker } from '../check-worker.ts';
import { wordsOf } from '../dma/dma-trial.ts';
import type { SpaceAnswer, SpaceQuestion, SpaceWorkerData } from './space-worker.ts';

/** How long the thread may take to start, and for each answer. */
const TIMEOUT_MS = 15_000;

/** A device's thread with an address space of its own, as a machine with a device in a worker has it. */
export class SpaceThread {
  readonly #worker: Worker;
  /** Who waits for the next message of the thread. */
  #waiting: { readonly resolve: (message: unknown) => void; readonly reject: (error: Error) => void } | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (message) => this.#waiting?.resolve(message));
    worker.on('error', (error) =>
      this.#waiting?.reject(new Error(`the worker failed: ${String(error)}`, { cause: error })),
    );
    worker.on('exit', (code) => this.#waiting?.reject(new Error(`the worker ended with exit code ${code}`)));
  }

  /**
   * Opens the blueprint in a worker. Rejects where the module does not load there, or its state cannot be cloned; then
   * no thread is left. Skips the check for a blueprint without a module, and for TypeScript that this Node cannot load.
   */
  static async open(blueprint: AddressSpaceBlueprint, memory: GuestMemory): Promise<SpaceThread> {
    const { module, state } = blueprint;
    if (module === undefined) skipCheck('the blueprint has no `module`: its device stays in the same thread');
    if (!(memory.buffer instanceof SharedArrayBuffer)) skipCheck('the guest memory cannot be shared with a thread');
    const workerData: SpaceWorkerData = { memory: memory.buffer, module, state };
    const thread = new SpaceThread(startCheckWorker('platform/space-worker', module, workerData));
    try {
      await thread.#next();
      return thread;
    } catch (error) {
      await thread.end();
      throw error;
    }
  }

  /** What the device reads there. */
  async read(address: bigint, bytes: number): Promise<SpaceAnswer> {
    const [low, high] = wordsOf(address);
    return this.#ask({ low, high, bytes });
  }

  /** Whether the device's write is taken. */
  async write(address: bigint, source: Uint8Array): Promise<SpaceAnswer> {
    const [low, high] = wordsOf(address);
    return this.#ask({ low, high, bytes: source.length, source });
  }

  /** Ends the thread. */
  async end(): Promise<void> {
    this.#waiting = undefined;
    await this.#worker.terminate();
  }

  async #ask(question: SpaceQuestion): Promise<SpaceAnswer> {
    const answer = this.#next();
    this.#worker.postMessage(question);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the thread runs space-worker, which answers so
    return (await answer) as SpaceAnswer;
  }

  /** The next message of the thread. Rejects when it fails, ends or takes too long. */
  async #next(): Promise<unknown> {
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting = { resolve, reject };
        timer = setTimeout(() => reject(new Error(`the worker did not answer in ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
      });
    } finally {
      clearTimeout(timer);
      this.#waiting = undefined;
    }
  }
}
