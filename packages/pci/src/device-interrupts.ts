import { DeviceError, isCodedError } from '@virtio-platform/core';
import { nap, type InterruptMessages, type WaitResult } from '@virtio-platform/core/device';
import type { DmaRegion } from '@virtio-platform/core/dma';
import type { RegisterWindow } from './pci-function.ts';

/** Between two looks: each is an access to the device. */
const SLEEP_MS = 0.2;

/** How one virtio device reaches its driver, on either interface: by messages from the first queue on, by its ISR register before and without. */
export class DeviceInterrupts {
  readonly #name: string;
  readonly #interrupts: PciInterrupts;
  readonly #registers: RegisterWindow;
  readonly #isr: number;
  #hasMessages = false;

  /** `name` is the function's. The ISR register is at `isr` of `registers`. */
  constructor(name: string, interrupts: PciInterrupts, registers: RegisterWindow, isr: number) {
    this.#name = name;
    this.#interrupts = interrupts;
    this.#registers = registers;
    this.#isr = isr;
  }

  get messages(): InterruptMessages | undefined {
    const { messageBytes: bytes } = this.#interrupts;
    return bytes === 0 ? undefined : { bytes, receiveIn: (region) => this.#interrupts.receiveIn(region) };
  }

  get hasMessages(): boolean {
    return this.#hasMessages;
  }

  /** With the first queue: only then does the driver know where messages may go. Returns whether they came with this call. */
  enable(): boolean {
    if (this.#hasMessages || this.#interrupts.vectors < VECTORS) return false;
    this.#interrupts.enable(VECTORS);
    this.#hasMessages = true;
    return true;
  }

  /** Ends messages: a reset of the device forgets its vectors. */
  disable(): void {
    this.#hasMessages = false;
    this.#interrupts.disable();
  }

  /** Ends messages for good, also those of a device that is gone. */
  dispose(): void {
    try {
      this.disable();
    } catch (error) {
      if (!isLost(error)) throw error;
    }
  }

  /** A device that has no resources for a vector says so by not taking it (specification 1.4 section 4.1.5.1.2). */
  setVector(registers: RegisterWindow, register: number, vector: number): void {
    registers.write(register, 2, vector);
    if (registers.read(register, 2) === vector) return;
    throw new DeviceError('ERR_DEVICE_CONFIG', `${this.#name} cannot use message vector ${vector}`, {
      hint: 'have it tell by its ISR register instead, where the machine has an option for that',
    });
  }

  /** Waits until the device says that something happened. 0 only looks. */
  wait(timeoutMs: number): WaitResult {
    try {
      const came = this.#hasMessages ? this.#interrupts.wait(timeoutMs) : this.#awaitIsr(timeoutMs);
      return came ? 'notified' : 'timeout';
    } catch (error) {
      if (isLost(error)) return 'lost';
      throw error;
    }
  }

  /** Reading the register takes back what it tells (section 4.1.4.5). */
  #awaitIsr(timeoutMs: number): boolean {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      if (this.#registers.read(this.#isr, 1) !== 0) return true;
      if (performance.now() >= deadline) return false;
      nap(SLEEP_MS);
    }
  }
}

function isLost(error: unknown): boolean {
  return isCodedError(error) && error.code === 'ERR_DEVICE_LOST';
}


/** What the transports use: one vector for changes of the configuration, one for all queues. */
export const CONFIG_VECTOR = 0;
export const QUEUE_VECTOR = 1;
export const VECTORS = 2;

/**
 * How the interrupts of a PCI function reach its driver. Messages (MSI-X) are DMA writes of the device: where nothing in the
 * machine receives them, the driver gives them memory of its own and looks there.
 */
export interface PciInterrupts {
  /** Most vectors that can be enabled; 0 where there are no messages, and the driver asks the ISR register instead. */
  readonly vectors: number;
  /** Bytes that messages are received in, from the driver's memory; 0 where the machine receives them itself. */
  readonly messageBytes: number;
  /** Where messages are received, of {@link messageBytes}. Before {@link enable}. */
  receiveIn(region: DmaRegion): void;
  /** Lets the function send messages of the vectors 0 to `count` - 1. */
  enable(count: number): void;
  /** Waits until a message came, and takes it: true; or until the time is up. 0 only looks. */
  wait(timeoutMs: number): boolean;
  /** No message comes any more, and the memory for them is its owner's again. */
  disable(): void;
}

/** A function whose messages nobody receives: its ISR register tells. */
export const NO_MESSAGES: PciInterrupts = {
  vectors: 0,
  messageBytes: 0,
  receiveIn: () => {},
  enable: () => {},
  wait: () => false,
  disable: () => {},
};
