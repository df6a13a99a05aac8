import type { RegisterWindow } from './register-window.ts';

/** Between two looks: each is an access to the device. */
const SLEEP_MS = 0.2;
const BED = new Int32Array(new SharedArrayBuffer(4));

/** Waits until the ISR status register tells of an interrupt; reading it takes that back (specification 1.4 section 4.1.4.5). 0 only looks. */
export function awaitIsr(registers: RegisterWindow, offset: number, timeoutMs: number): boolean {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (registers.read(offset, 1) !== 0) return true;
    if (performance.now() >= deadline) return false;
    Atomics.wait(BED, 0, 0, SLEEP_MS);
  }
}
