/** `wfi`: the processor waits for an interrupt. */
const WAIT_FOR_INTERRUPT = 0xd503_207f;
/** `b` to the instruction before. */
const BRANCH_BACK = 0x17ff_ffff;
const FIRMWARE_BYTES = 4096;

/** A firmware for the 64-bit processor of `virt` that waits for ever: its interrupts are masked at the start. */
export function buildWaitingFirmware(): Uint8Array {
  const image = new DataView(new ArrayBuffer(FIRMWARE_BYTES));
  image.setUint32(0, WAIT_FOR_INTERRUPT, true);
  image.setUint32(4, BRANCH_BACK, true);
  return new Uint8Array(image.buffer);
}
