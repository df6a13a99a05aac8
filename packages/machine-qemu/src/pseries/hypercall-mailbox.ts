import { DeviceError } from '@virtio-platform/core';
import { nap } from '@virtio-platform/core/device';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { swap32 } from '@virtio-platform/core/queue';
import type { QtestConnection } from '../qtest/qtest-connection.ts';
import {
  MAILBOX_ADDRESS,
  MAILBOX_ARGUMENTS,
  MAILBOX_BYTES,
  MAILBOX_DEVICE_TREE,
  MAILBOX_DONE,
  MAILBOX_GO,
  MAILBOX_OPCODE,
  MAILBOX_RESULTS,
} from './firmware.ts';

const ARGUMENTS = 6;
/** Reads of the flag before the first sleep, and milliseconds of each sleep. */
const READS = 2000;
const SLEEP_MS = 0.05;

/** Index of the low half of the flag in the 32-bit words of memory. */
const FLAG_WORD = MAILBOX_ADDRESS / 4 + 1;
/** The number of no hypercall: all of them are multiples of 4. It answers H_FUNCTION. */
const NO_CALL = 0x2;
/** The values of the flag: big-endian in memory, little-endian in this process. */
const GO_WORD = swap32(MAILBOX_GO);
const DONE_WORD = swap32(MAILBOX_DONE);

/**
 * Makes hypercalls on the processor of a POWER guest, whose firmware reads them from shared memory. Numbers are low and
 * high word. Hot: no allocation, and no message to QEMU.
 */
export class HypercallMailbox {
  readonly #memory: GuestMemory;
  readonly #qtest: QtestConnection;
  readonly #timeoutMs: number;

  /** Where a call does not return, `qtest` reports whether QEMU has ended. */
  constructor(memory: GuestMemory, qtest: QtestConnection, timeoutMs: number) {
    this.#memory = memory;
    this.#qtest = qtest;
    this.#timeoutMs = timeoutMs;
    memory.u8.fill(0, MAILBOX_ADDRESS, MAILBOX_ADDRESS + MAILBOX_BYTES);
  }

  /** Sets argument `index` (0 is r4). */
  setArgument(index: number, low: number, high: number): void {
    if (index >= ARGUMENTS) throw new RangeError(`argument ${index} of ${ARGUMENTS}`);
    this.#write(MAILBOX_ARGUMENTS + 8 * index, low, high);
  }

  /** Makes the call and returns its code, H_SUCCESS or negative. Throws {@link DeviceError} `ERR_DEVICE_LOST`. */
  call(opcode: number): number {
    this.#write(MAILBOX_OPCODE, opcode, 0);
    Atomics.store(this.#memory.u32, FLAG_WORD, GO_WORD);
    this.#awaitResult(opcode);
    return this.result(0, 0) | 0;
  }

  /**
   * The address of the device tree, which the firmware stores before it makes calls, so it is there after any of them.
   * Throws {@link DeviceError} `ERR_DEVICE_LOST`.
   */
  deviceTreeAddress(): number {
    this.call(NO_CALL);
    return this.#memory.view.getUint32(MAILBOX_ADDRESS + MAILBOX_DEVICE_TREE + 4);
  }

  /** Half `half` (0 is the low one) of result `index` (0 is r3) of the last call. */
  result(index: number, half: 0 | 1): number {
    return this.#memory.view.getUint32(MAILBOX_ADDRESS + MAILBOX_RESULTS + 8 * index + (half === 0 ? 4 : 0));
  }

  #write(at: number, low: number, high: number): void {
    this.#memory.view.setUint32(MAILBOX_ADDRESS + at, high);
    this.#memory.view.setUint32(MAILBOX_ADDRESS + at + 4, low);
  }

  #awaitResult(opcode: number): void {
    const { u32 } = this.#memory;
    let deadline = 0;
    for (let reads = 0; Atomics.load(u32, FLAG_WORD) !== DONE_WORD; reads++) {
      if (reads < READS) continue;
      const now = performance.now();
      if (deadline === 0) deadline = now + this.#timeoutMs;
      else if (now > deadline) this.#giveUp(opcode);
      nap(SLEEP_MS);
    }
  }

  #giveUp(opcode: number): never {
    // This throws where QEMU has ended.
    this.#qtest.ask('endianness');
    throw new DeviceError(
      'ERR_DEVICE_LOST',
      `hypercall 0x${opcode.toString(16)} did not return in ${this.#timeoutMs} ms`,
      { hint: 'the processor of the guest has stopped: only the firmware may use guest memory below 1 MiB' },
    );
  }
}
