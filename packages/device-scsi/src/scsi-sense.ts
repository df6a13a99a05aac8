/** Status codes of a command. SAM-5 section 5.3. */
export const SCSI_GOOD = 0x00;
/** Sense data says what is wrong. SAM-5 section 5.3. */
export const SCSI_CHECK_CONDITION = 0x02;

/** Bytes of sense data in the fixed format. SPC-4 section 4.5.3. */
export const FIXED_SENSE_SIZE = 18;

/** A sense code as one number: the key in bits 16 to 19, ASC in bits 8 to 15, ASCQ in bits 0 to 7. 0 for no sense. */
export type SenseCode = number;

/** The names of {@link SENSE}. */
export type SenseName =
  | 'NONE'
  | 'NOT_STARTED'
  | 'WRITE_ERROR'
  | 'READ_ERROR'
  | 'PARAMETER_LIST_LENGTH'
  | 'INVALID_OPCODE'
  | 'LBA_OUT_OF_RANGE'
  | 'INVALID_FIELD_IN_CDB'
  | 'LUN_NOT_SUPPORTED'
  | 'INVALID_FIELD_IN_PARAMETERS'
  | 'SAVING_NOT_SUPPORTED'
  | 'RESET'
  | 'LOGICAL_UNIT_RESET'
  | 'NEXUS_LOSS'
  | 'CAPACITY_CHANGED'
  | 'LUNS_CHANGED'
  | 'WRITE_PROTECTED'
  | 'DATA_PHASE_ERROR';

/** Sense codes that the device half gives, and that a driver meets. SPC-4 annex F. */
export const SENSE: Readonly<Record<SenseName, SenseCode>> = {
  NONE: 0x00_0000,
  NOT_STARTED: 0x02_0402,
  WRITE_ERROR: 0x03_0c00,
  READ_ERROR: 0x03_1100,
  PARAMETER_LIST_LENGTH: 0x05_1a00,
  INVALID_OPCODE: 0x05_2000,
  LBA_OUT_OF_RANGE: 0x05_2100,
  INVALID_FIELD_IN_CDB: 0x05_2400,
  LUN_NOT_SUPPORTED: 0x05_2500,
  INVALID_FIELD_IN_PARAMETERS: 0x05_2600,
  SAVING_NOT_SUPPORTED: 0x05_3900,
  RESET: 0x06_2900,
  LOGICAL_UNIT_RESET: 0x06_2903,
  NEXUS_LOSS: 0x06_2907,
  CAPACITY_CHANGED: 0x06_2a09,
  LUNS_CHANGED: 0x06_3f0e,
  WRITE_PROTECTED: 0x07_2700,
  DATA_PHASE_ERROR: 0x0b_4b00,
};

const KEYS: readonly string[] = [
  'NO SENSE',
  'RECOVERED ERROR',
  'NOT READY',
  'MEDIUM ERROR',
  'HARDWARE ERROR',
  'ILLEGAL REQUEST',
  'UNIT ATTENTION',
  'DATA PROTECT',
  'BLANK CHECK',
  'VENDOR SPECIFIC',
  'COPY ABORTED',
  'ABORTED COMMAND',
  'RESERVED',
  'VOLUME OVERFLOW',
  'MISCOMPARE',
  'COMPLETED',
];

/** Whether a code is a unit attention: the command was not executed, and the next one may be. Hot. */
export function isUnitAttention(code: SenseCode): boolean {
  return code >> 16 === 0x06;
}

/** A code in words: `ILLEGAL REQUEST, ASC 0x21, ASCQ 0x00`. */
export function describeSense(code: SenseCode): string {
  return `${KEYS[(code >> 16) & 0xf]}, ASC ${hexadecimalByte(code >> 8)}, ASCQ ${hexadecimalByte(code)}`;
}

function hexadecimalByte(value: number): string {
  return `0x${(value & 0xff).toString(16).padStart(2, '0')}`;
}

/** Writes current sense data in the fixed format, {@link FIXED_SENSE_SIZE} bytes from `at` on. Hot. */
export function writeSense(target: Uint8Array, at: number, code: SenseCode): void {
  target.fill(0, at, at + FIXED_SENSE_SIZE);
  target[at] = 0x70;
  target[at + 2] = code >> 16;
  target[at + 7] = FIXED_SENSE_SIZE - 8;
  target[at + 12] = (code >> 8) & 0xff;
  target[at + 13] = code & 0xff;
}

/**
 * Reads sense data of `length` bytes in either format (SPC-4 section 4.5); -1 for a format that is neither, and for
 * data that ends before its codes. Hot.
 */
export function readSense(source: Uint8Array, at: number, length: number): SenseCode {
  if (length < 1) return -1;
  const format = source[at]! & 0x7f;
  if (format === 0x72 || format === 0x73) {
    if (length < 4) return -1;
    return ((source[at + 1]! & 0xf) << 16) | (source[at + 2]! << 8) | source[at + 3]!;
  }
  if ((format !== 0x70 && format !== 0x71) || length < 14) return -1;
  return ((source[at + 2]! & 0xf) << 16) | (source[at + 12]! << 8) | source[at + 13]!;
}
