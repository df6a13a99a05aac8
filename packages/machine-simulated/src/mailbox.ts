import { FeatureSet } from '@virtio-platform/core/features';

/** What the driver's thread asks of the device's. */
export const Command = {
  ReadFeatures: 1,
  WriteFeatures: 2,
  ReadStatus: 3,
  WriteStatus: 4,
  MaxQueueSize: 5,
  EnableQueue: 6,
  ReadConfig: 7,
  WriteConfig: 8,
  ReadFaults: 9,
  ResetQueue: 10,
  IsQueueReset: 11,
  NotificationIdentity: 12,
  ReadNotifications: 13,
  Exit: 14,
} as const;
/** A value of {@link Command}. */
export type Command = (typeof Command)[keyof typeof Command];

/** The first word of a mailbox, before the first command: the module of the device type is being loaded. */
export const LOADS_DEVICE_TYPE = 1;

/** Indices of 32-bit words. */
const WAKE = 0;
const ASKED = 1;
const ANSWERED = 2;
const COMMAND = 3;
const INTERRUPTS = 4;
const NOTIFIED = 5;
const FAULTS = 6;
const GONE = 7;
const WORDS = 8;
/** Behind the 16 words of a command. */
const CONFIG_GENERATION = 24;
const CONFIG_CHANGES = 25;
/** Two words for each queue: whether its doorbell was rung, and the value written last. */
const DOORBELLS = 32;
const MAX_QUEUES = 64;
const DATA_OFFSET = (DOORBELLS + 2 * MAX_QUEUES) * 4;
const DATA_SIZE = 0x1_0000;
/** Where the device's side stores what it says when it leaves; apart from the words of a pending command. */
const EXIT_REPORT_OFFSET = DATA_OFFSET + DATA_SIZE;

/** Bytes of {@link Mailbox.data} and of {@link Mailbox.exitReport}. */
export const MAILBOX_BYTES: number = DATA_SIZE;

/**
 * Registers between two threads, in shared memory: one command at a time from the driver's side, doorbells, and
 * interrupts from the device's. Every wait is bounded.
 */
export class Mailbox {
  readonly buffer: SharedArrayBuffer;
  /** Arguments and results: 16 words. */
  readonly words: Uint32Array;
  readonly data: Uint8Array;
  readonly #i32: Int32Array;
  readonly #exitReport: Uint8Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(EXIT_REPORT_OFFSET + DATA_SIZE)) {
    this.buffer = buffer;
    this.#i32 = new Int32Array(buffer, 0, DATA_OFFSET / 4);
    this.words = new Uint32Array(buffer, WORDS * 4, 16);
    this.data = new Uint8Array(buffer, DATA_OFFSET, DATA_SIZE);
    this.#exitReport = new Uint8Array(buffer, EXIT_REPORT_OFFSET, DATA_SIZE);
  }

  /**
   * Driver's side: gives a command and waits for its answer in `words` and `data`. Returns false when none came in
   * time, or ever will.
   */
  ask(command: Command, timeoutMs: number): boolean {
    if (this.isGone) return false;
    const answered = Atomics.load(this.#i32, ANSWERED);
    Atomics.store(this.#i32, COMMAND, command);
    Atomics.add(this.#i32, ASKED, 1);
    this.#wake();
    return this.#waitForChange(ANSWERED, answered, timeoutMs) !== answered && !this.isGone;
  }

  /** Whether the device's side left for good. */
  get isGone(): boolean {
    return Atomics.load(this.#i32, GONE) !== 0;
  }

  /** What the device's thread wrote when it ended, as {@link leave} got it. */
  get exitReport(): string {
    return new TextDecoder().decode(this.#exitReport.slice(0, Atomics.load(this.#i32, GONE) - 1));
  }

  /**
   * Device's side: ends the device for good, with `exitReport` (at most {@link MAILBOX_BYTES}), and wakes the driver's
   * side.
   */
  leave(exitReport: string): void {
    const { written } = new TextEncoder().encodeInto(exitReport, this.#exitReport);
    Atomics.store(this.#i32, GONE, written + 1);
    this.answer();
    this.interrupt();
  }

  /**
   * Driver's side: rings the doorbell of a queue with a value, which replaces an older one that the device has not
   * taken yet.
   */
  ring(queue: number, value: number): void {
    if (queue >= MAX_QUEUES) return;
    Atomics.store(this.#i32, DOORBELLS + 2 * queue + 1, value);
    Atomics.store(this.#i32, DOORBELLS + 2 * queue, 1);
    Atomics.store(this.#i32, NOTIFIED, 1);
    this.#wake();
  }

  /** Driver's side: waits until the number of interrupts is no longer `seen`, and returns it. */
  waitForInterrupt(seen: number, timeoutMs: number): number {
    return this.#waitForChange(INTERRUPTS, seen, timeoutMs);
  }

  /**
   * Driver's side: resolves once the number of interrupts is no longer `seen`, or with {@link endWaits}, and returns
   * the number. Does not keep the process alive.
   */
  async interrupted(seen: number): Promise<number> {
    const { async: isAsync, value } = Atomics.waitAsync(this.#i32, INTERRUPTS, seen);
    if (isAsync) await value;
    return Atomics.load(this.#i32, INTERRUPTS);
  }

  /** Driver's side: ends the waits of {@link interrupted}. */
  endWaits(): void {
    Atomics.notify(this.#i32, INTERRUPTS);
  }

  /** Driver's side: the generation of the configuration, also of changes that the driver is not notified of. */
  get configGeneration(): number {
    return Atomics.load(this.#i32, CONFIG_GENERATION);
  }

  /** Driver's side: how many configuration change notifications were sent. */
  get configChanges(): number {
    return Atomics.load(this.#i32, CONFIG_CHANGES);
  }

  /** Device's side: before the answer to a command that may read the configuration. */
  showConfigGeneration(generation: number): void {
    Atomics.store(this.#i32, CONFIG_GENERATION, generation);
  }

  /** Device's side: the driver is notified of a changed configuration; followed by {@link interrupt}. */
  changeConfig(): void {
    Atomics.add(this.#i32, CONFIG_CHANGES, 1);
  }

  /** Faults the device's side has recorded so far. */
  get faultCount(): number {
    return Atomics.load(this.#i32, FAULTS);
  }

  /** Device's side. */
  countFault(): void {
    Atomics.add(this.#i32, FAULTS, 1);
  }

  /** Device's side: sends a used buffer or configuration change notification. */
  interrupt(): void {
    Atomics.add(this.#i32, INTERRUPTS, 1);
    Atomics.notify(this.#i32, INTERRUPTS);
  }

  /** Device's side: the command not answered yet, if there is one. */
  get command(): Command | undefined {
    if (Atomics.load(this.#i32, ASKED) === Atomics.load(this.#i32, ANSWERED)) return undefined;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only `ask` writes this word
    return Atomics.load(this.#i32, COMMAND) as Command;
  }

  /** Device's side. */
  answer(): void {
    Atomics.add(this.#i32, ANSWERED, 1);
    Atomics.notify(this.#i32, ANSWERED);
  }

  /** Device's side: whether any doorbell was rung since. */
  takeDoorbells(): boolean {
    return Atomics.exchange(this.#i32, NOTIFIED, 0) !== 0;
  }

  /** Device's side: whether the doorbell of a queue was rung and not taken yet. */
  isRung(queue: number): boolean {
    return queue < MAX_QUEUES && Atomics.load(this.#i32, DOORBELLS + 2 * queue) !== 0;
  }

  /** Device's side: the value with which the doorbell of a queue was rung since, or -1. */
  takeDoorbell(queue: number): number {
    if (Atomics.exchange(this.#i32, DOORBELLS + 2 * queue, 0) === 0) return -1;
    return Atomics.load(this.#i32, DOORBELLS + 2 * queue + 1) >>> 0;
  }

  /** Device's side: sleeps until something happened since `seen`, and returns the new count. */
  sleep(seen: number, timeoutMs: number): number {
    Atomics.wait(this.#i32, WAKE, seen, timeoutMs);
    return Atomics.load(this.#i32, WAKE);
  }

  /** As {@link sleep}, while timers and sockets of this thread run. */
  async sleepAsync(seen: number, timeoutMs: number): Promise<number> {
    const { async: isAsync, value } = Atomics.waitAsync(this.#i32, WAKE, seen, timeoutMs);
    if (isAsync) await value;
    return Atomics.load(this.#i32, WAKE);
  }

  /**
   * Waits until a word is no longer `seen`, and returns what it is then. A change and its wake-up are two steps: that
   * of an earlier change may come to a wait for the next one.
   */
  #waitForChange(word: number, seen: number, timeoutMs: number): number {
    const end = performance.now() + timeoutMs;
    for (let left = timeoutMs; left > 0 && Atomics.load(this.#i32, word) === seen; left = end - performance.now())
      Atomics.wait(this.#i32, word, seen, left);
    return Atomics.load(this.#i32, word);
  }

  #wake(): void {
    Atomics.add(this.#i32, WAKE, 1);
    Atomics.notify(this.#i32, WAKE);
  }
}

/** Puts a feature set into four words. */
export function writeFeatureWords(features: FeatureSet, words: Uint32Array): void {
  for (let i = 0; i < 4; i++) words[i] = Number((features.bits >> BigInt(32 * i)) & 0xffff_ffffn);
}

/** Reads a feature set from four words. */
export function readFeatureWords(words: Uint32Array): FeatureSet {
  let bits = 0n;
  for (let i = 3; i >= 0; i--) bits = (bits << 32n) | BigInt(words[i]!);
  return new FeatureSet(bits);
}
