import { SENSE, type SenseCode } from '../scsi-sense.ts';
import type { CommandBuffers } from './command-buffers.ts';

/** In place of a sense code: the CDB asks for more data than the buffers have. Specification 1.4 section 5.6.6.1. */
export const OVERRUN: SenseCode = -1;

/** Answers with the first `length` bytes of `data`, but no more than the CDB allows with `allocation`. */
export function answerData(io: CommandBuffers, data: Uint8Array, length: number, allocation: number): SenseCode {
  if (allocation > io.dataIn) return OVERRUN;
  const bytes = Math.min(length, allocation);
  return bytes === 0 || io.write(0, data, 0, bytes) ? SENSE.NONE : SENSE.DATA_PHASE_ERROR;
}
