const BYTES = 0x1_0000;
/** Where a processor starts, 16 bytes below the end. */
const RESET_VECTOR = 0xfff0;
const HLT = 0xf4;
const JMP_SHORT = 0xeb;
const BACK_TO_HLT = 0xfd;

/** A firmware that stops the processor for good: interrupts are off when it starts. */
export function buildHaltingFirmware(): Uint8Array {
  const image = new Uint8Array(BYTES);
  image.set([HLT, JMP_SHORT, BACK_TO_HLT], RESET_VECTOR);
  return image;
}
