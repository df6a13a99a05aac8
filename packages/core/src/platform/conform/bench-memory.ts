/** A run of the driver's memory, with bytes around it that the device may not change. */
export interface BenchBuffer {
  readonly name: string;
  /** Guest-physical. */
  readonly address: number;
  readonly length: number;
  /** The device address of the first byte, as two words. */
  readonly low: number;
  readonly high: number;
  write(bytes: Uint8Array, offset?: number): void;
  /** A copy of what is there now. */
  read(offset?: number, length?: number): Uint8Array;
}

/** One descriptor of a buffer. */
export interface BenchSegment {
  readonly buffer: BenchBuffer;
  /** The part of the buffer; all of it unless given. */
  readonly offset?: number;
  readonly length?: number;
  /** Whether the device writes it. */
  readonly isWritable?: boolean;
}
