import { DeviceError, isCodedError } from '@virtio-platform/core';
import { nap, type InterruptMessages, type WaitResult } from '@virtio-platform/core/device';
import type { DmaRegion } from '@virtio-platform/core/dma';
import type { RegisterWindow } from './pci-function.ts';

/** The MSI-X vector of configuration changes. */
export const CONFIG_VECTOR = 0;
/** The MSI-X vector of all queues. */
export const QUEUE_VECTOR = 1;
/** The number of MSI-X vectors that the transports use. */
export const VECTORS = 2;

/**
 * The values of a machine's option `interrupts`: MSI-X, or the ISR register. `messages` is the former name of `msix`.
 */
export const INTERRUPT_MODES = ['msix', 'isr', 'messages'] as const;
/** One of {@link INTERRUPT_MODES}. */
export type InterruptMode = (typeof INTERRUPT_MODES)[number];

/**
 * The MSI-X interrupts of a PCI function. The function sends an MSI-X message as a DMA write. Where no interrupt
 * controller of the machine receives it, the message is written to memory of the driver, which the driver polls.
 */
export interface PciInterrupts {
  /** The largest number of vectors that can be enabled; 0 without MSI-X: the driver polls the ISR register instead. */
  readonly vectors: number;
  /** Bytes of driver memory for the messages; 0 where the machine itself receives them. */
  readonly msixBytes: number;
  /** Sets the memory for the messages, of {@link msixBytes}. Called before {@link enable}. */
  receiveIn(region: DmaRegion): void;
  /** Enables the vectors 0 to `count` - 1. */
  enable(count: number): void;
  /** Waits for messages and takes them. Returns false on timeout; 0 only checks. */
  wait(timeoutMs: number): boolean;
  /**
   * Has `listener` called from the event loop where messages came, of vectors that are enabled later. Without it, only
   * {@link wait} finds them.
   */
  watch?(listener: () => void): void;
  /** Whether {@link wait} took a message of the vector since the last call. */
  takeVector(vector: number): boolean;
  /** Disables all vectors, and gives the memory for the messages back to its owner. */
  disable(): void;
}

/** A function without MSI-X: the driver polls its ISR register. */
export const NO_MSIX: PciInterrupts = {
  vectors: 0,
  msixBytes: 0,
  receiveIn: () => {},
  enable: () => {},
  wait: () => false,
  takeVector: () => false,
  disable: () => {},
};

/** Bit of the ISR register: the configuration changed (specification 1.4 section 4.1.4.5). */
const ISR_CONFIG = 2;
/** Milliseconds between two reads of the ISR register, each of which is an access to the device. */
const SLEEP_MS = 0.2;

/**
 * The interrupts of one virtio device, for both transports. MSI-X is enabled with the first queue; before that, and
 * without MSI-X, the ISR register is polled.
 */
export class DeviceInterrupts {
  readonly #name: string;
  readonly #interrupts: PciInterrupts;
  readonly #registers: RegisterWindow;
  readonly #isr: number;
  #usesMsix = false;
  /** Whether the ISR register told of a configuration change. */
  #isConfigChanged = false;

  /** `name` is the name of the function in messages. The ISR register is at offset `isr` of `registers`. */
  constructor(name: string, interrupts: PciInterrupts, registers: RegisterWindow, isr: number) {
    this.#name = name;
    this.#interrupts = interrupts;
    this.#registers = registers;
    this.#isr = isr;
  }

  /** The driver memory that the MSI-X messages need; `undefined` where they need none. */
  get msiRegion(): InterruptMessages | undefined {
    const { msixBytes: bytes } = this.#interrupts;
    return bytes === 0 ? undefined : { bytes, receiveIn: (region) => this.#interrupts.receiveIn(region) };
  }

  /** Whether MSI-X is enabled. */
  get usesMsix(): boolean {
    return this.#usesMsix;
  }

  /**
   * Enables MSI-X where the function has it. Called with the first queue, because the driver has the memory for the
   * messages only then. Returns whether this call enabled it.
   */
  enable(): boolean {
    if (this.#usesMsix || this.#interrupts.vectors < VECTORS) return false;
    this.#interrupts.enable(VECTORS);
    this.#usesMsix = true;
    return true;
  }

  /** Disables MSI-X, after a reset, which also clears the vectors of the device. */
  disable(): void {
    this.#usesMsix = false;
    this.#isConfigChanged = false;
    this.#interrupts.disable();
  }

  /** Disables MSI-X for good, also where the device is gone. */
  dispose(): void {
    try {
      this.disable();
    } catch (error) {
      if (!isLost(error)) throw error;
    }
  }

  /**
   * Writes a vector register. A device without resources for the vector reads back another value (specification 1.4
   * section 4.1.5.1.2), which throws {@link DeviceError} `ERR_DEVICE_CONFIG`.
   */
  setVector(registers: RegisterWindow, register: number, vector: number): void {
    registers.write(register, 2, vector);
    if (registers.read(register, 2) === vector) return;
    throw new DeviceError('ERR_DEVICE_CONFIG', `${this.#name} cannot use MSI-X vector ${vector}`, {
      hint: 'poll its ISR register instead, where the machine has an option for that (machine.interrupts: isr)',
    });
  }

  /** See `Transport.watch`: `undefined` where the messages or the ISR register have to be polled. */
  get watch(): ((listener: () => void) => void) | undefined {
    const interrupts = this.#interrupts;
    if (interrupts.watch === undefined || interrupts.vectors < VECTORS) return undefined;
    return (listener) => interrupts.watch!(listener);
  }

  /** Waits for an interrupt of the device. 0 only checks. */
  wait(timeoutMs: number): WaitResult {
    try {
      const isNotified = this.#usesMsix ? this.#interrupts.wait(timeoutMs) : this.#pollIsr(timeoutMs);
      return isNotified ? 'notified' : 'timeout';
    } catch (error) {
      if (isLost(error)) return 'lost';
      throw error;
    }
  }

  /** Whether the device told of a configuration change since the last call, as far as {@link wait} took it. */
  takeConfigChange(): boolean {
    const isSent = this.#interrupts.takeVector(CONFIG_VECTOR);
    const isChanged = this.#isConfigChanged || isSent;
    this.#isConfigChanged = false;
    return isChanged;
  }

  /** A read of the register clears it (section 4.1.4.5). */
  #pollIsr(timeoutMs: number): boolean {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const causes = this.#registers.read(this.#isr, 1);
      if ((causes & ISR_CONFIG) !== 0) this.#isConfigChanged = true;
      if (causes !== 0) return true;
      if (performance.now() >= deadline) return false;
      nap(SLEEP_MS);
    }
  }
}

function isLost(error: unknown): boolean {
  return isCodedError(error) && error.code === 'ERR_DEVICE_LOST';
}
