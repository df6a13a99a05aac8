import { isCodedError } from '@virtio-platform/core';
import { nap, type WaitResult } from '@virtio-platform/core/device';
import { MMIO, MMIO_INTERRUPT_CONFIG, MMIO_INTERRUPT_USED, type MmioRegisters } from './mmio-registers.ts';

/**
 * The interrupt signal of a device, where the machine has it. It stays asserted while InterruptStatus has a bit
 * (specification 1.4 section 4.2.3.4).
 */
export interface MmioSignal {
  /** Waits until the signal is asserted, or the device is gone. False on timeout; 0 only looks. */
  wait(timeoutMs: number): boolean;
  /** Has `listener` called from the event loop whenever the signal was asserted, or the device is gone. */
  watch?(listener: () => void): void;
}

/** What a frozen device, or one that is not there, answers. */
const ALL_ONES = 0xffff_ffff;
const EVENTS = MMIO_INTERRUPT_USED | MMIO_INTERRUPT_CONFIG;
/** Milliseconds between two reads of InterruptStatus, each of which is an access to the device. */
const SLEEP_MS = 0.2;

/** The interrupts of one device: its signal, or InterruptStatus polled; both acknowledged. */
export class MmioInterrupts {
  readonly #registers: MmioRegisters;
  readonly #signal: MmioSignal | undefined;
  #isConfigChanged = false;

  constructor(registers: MmioRegisters, signal: MmioSignal | undefined) {
    this.#registers = registers;
    this.#signal = signal;
  }

  /** See `Transport.watch`: `undefined` where InterruptStatus has to be polled. */
  get watch(): ((listener: () => void) => void) | undefined {
    const signal = this.#signal;
    return signal?.watch === undefined ? undefined : (listener) => signal.watch!(listener);
  }

  /** Waits for an interrupt, and acknowledges it. 0 only checks. */
  wait(timeoutMs: number): WaitResult {
    try {
      return this.#wait(timeoutMs) ? 'notified' : 'timeout';
    } catch (error) {
      if (isCodedError(error) && error.code === 'ERR_DEVICE_LOST') return 'lost';
      throw error;
    }
  }

  /** Whether the device told of a configuration change since the last call, as far as {@link wait} took it. */
  takeConfigChange(): boolean {
    const isChanged = this.#isConfigChanged;
    this.#isConfigChanged = false;
    return isChanged;
  }

  /** Forgets what came before a reset, which clears InterruptStatus. */
  forget(): void {
    this.#isConfigChanged = false;
  }

  #wait(timeoutMs: number): boolean {
    if (this.#signal !== undefined) return this.#signal.wait(timeoutMs) && this.#take();
    const deadline = performance.now() + timeoutMs;
    while (!this.#take()) {
      if (performance.now() >= deadline) return false;
      nap(SLEEP_MS);
    }
    return true;
  }

  /**
   * Takes the events and acknowledges them, before the driver looks at its rings: what the device uses after that
   * raises the interrupt again. The read behind the write makes sure that the device has it, where a bus posts writes:
   * an acknowledgement that comes later takes an event with it that the driver has not seen. Bits that are not defined
   * are neither looked at nor acknowledged.
   */
  #take(): boolean {
    const status = this.#registers.read(MMIO.InterruptStatus, 4);
    const events = status & EVENTS;
    if (events === 0 || status === ALL_ONES) return false;
    this.#registers.write(MMIO.InterruptACK, 4, events);
    this.#registers.read(MMIO.InterruptStatus, 4);
    if ((events & MMIO_INTERRUPT_CONFIG) !== 0) this.#isConfigChanged = true;
    return true;
  }
}
