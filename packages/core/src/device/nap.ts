/** Nobody wakes who sleeps here. */
const BED = new Int32Array(new SharedArrayBuffer(4));

/** Puts this thread to sleep, for less time than a timer takes and without its event loop: between two looks at what another process writes. */
export function nap(milliseconds: number): void {
  Atomics.wait(BED, 0, 0, milliseconds);
}
