import { DeviceError } from '@virtio-platform/core';
import { nap } from '@virtio-platform/core/device';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { QtestConnection } from '../qtest/qtest-connection.ts';
import {
  MAILBOX_ADDRESS,
  MAILBOX_ARGUMENTS,
  MAILBOX_BYTES,
  MAILBOX_DONE,
  MAILBOX_GO,
  MAILBOX_OPCODE,
  MAILBOX_RESULTS,
} from './firmware.ts';

const ARGUMENTS = 6;
/** Looks before the first sleep, and how long each sleep is. */
const LOOKS = 2000;
const SLEEP_MS = 0.05;

/** Low halves of the doublewords, as 32-bit words of memory. */
const FLAG_WORD = MAILBOX_ADDRESS / 4 + 1;

/**
 * Makes hypercalls on the processor of a POWER guest, whose firmware finds them in shared memory. Numbers are low and high word.
 * Hot: no allocation, and no message to QEMU.
 */
export class HypercallMailbox {
  readonly #memory: GuestMemory;
  readonly #qtest: QtestConnection;
  readonly #timeoutMs: number;

  /** `qtest` tells whether QEMU is still there when a call does not come back. */
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
    // Words of shared memory: the number in big-endian order.
    Atomics.store(this.#memory.u32, FLAG_WORD, swap(MAILBOX_GO));
    this.#awaitResult(opcode);
    return this.result(0, 0) | 0;
  }

  /** Half `half` (0 is the low one) of what the last call left in result `index` (0 is r3). */
  result(index: number, half: 0 | 1): number {
    return this.#memory.view.getUint32(MAILBOX_ADDRESS + MAILBOX_RESULTS + 8 * index + (half === 0 ? 4 : 0));
  }

  #write(at: number, low: number, high: number): void {
    this.#memory.view.setUint32(MAILBOX_ADDRESS + at, high);
    this.#memory.view.setUint32(MAILBOX_ADDRESS + at + 4, low);
  }

  #awaitResult(opcode: number): void {
    const { u32 } = this.#memory;
    const done = swap(MAILBOX_DONE);
    let deadline = 0;
    for (let looks = 0; Atomics.load(u32, FLAG_WORD) !== done; looks++) {
      if (looks < LOOKS) continue;
      const now = performance.now();
      if (deadline === 0) deadline = now + this.#timeoutMs;
      else if (now > deadline) this.#giveUp(opcode);
      nap(SLEEP_MS);
    }
  }

  #giveUp(opcode: number): never {
    // A QEMU that is gone says so itself.
    this.#qtest.ask('endianness');
    throw new DeviceError(
      'ERR_DEVICE_LOST',
      `hypercall 0x${opcode.toString(16)} did not return in ${this.#timeoutMs} ms`,
      { hint: 'the processor of the guest stands still: nobody else may write to guest memory below 1 MiB' },
    );
  }
}

function swap(value: number): number {
  return ((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);
}
