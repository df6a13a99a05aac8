import { ClientRequest } from '../requests/client-request.ts';

/** The operations of a disk. */
export type BlockOperation = 'read' | 'write' | 'flush' | 'discard' | 'writeZeroes' | 'secureErase' | 'getId';

const NOTHING = Buffer.alloc(0);

/** One request to a disk. A read or write that is longer than a buffer of the driver is made in parts. */
export class BlockRequest extends ClientRequest<Buffer> {
  readonly operation: BlockOperation;
  /** Bytes from the start of the disk, and bytes. */
  readonly offset: number;
  readonly length: number;
  /** Whether a write of zeroes may deallocate. */
  readonly mayUnmap: boolean;
  /** What is written, or where what is read goes. */
  data: Uint8Array | undefined;
  /** Bytes of it that were submitted, or the length for what has no data. */
  submitted = 0;
  isSubmitted = false;

  constructor(
    operation: BlockOperation,
    offset: number,
    length: number,
    options: {
      readonly signal?: AbortSignal | undefined;
      readonly data?: Uint8Array;
      readonly mayUnmap?: boolean;
    } = {},
  ) {
    super(options.signal);
    this.operation = operation;
    this.offset = offset;
    this.length = length;
    this.data = options.data;
    this.mayUnmap = options.mayUnmap ?? false;
  }

  /** Whether it has data of the program's in memory of the device's. */
  get isTransfer(): boolean {
    return this.operation === 'read' || this.operation === 'write';
  }

  protected override result(): Buffer {
    const { data } = this;
    return data instanceof Buffer ? data : NOTHING;
  }
}
