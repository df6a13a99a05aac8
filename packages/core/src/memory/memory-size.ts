import { constants } from 'node:buffer';
import { CodedError } from '../errors/coded-error.ts';
import { formatByteSize } from './byte-size.ts';

/** Elements of the longest typed array here, whatever their width: 4 Gi in Node 20, without a limit from Node 22 on. */
const MOST_ELEMENTS = constants.MAX_LENGTH;
/** Whether a typed array of bytes can be longer than 4 GiB. */
const IS_WIDE = MOST_ELEMENTS > 2 ** 32;

/**
 * Bytes of the largest memory here that comes from elsewhere than V8, such as a mapped file, and of the longest byte
 * array: 4 GiB in Node 20, and as much as the computer has from Node 22 on.
 */
export const MOST_MEMORY: number = MOST_ELEMENTS;

/**
 * Bytes of the largest guest memory that {@link allocateSharedMemory} gives here: as many as an array of 32-bit words
 * has, 16 GiB in Node 20.
 */
export const MOST_SHARED_MEMORY: number = IS_WIDE ? MOST_ELEMENTS : MOST_ELEMENTS * 4;

/**
 * First guest-physical address at which no ring can be here, since the 16-bit fields of rings need an array of such
 * words: 8 GiB in Node 20. Coherent memory is allocated below.
 */
export const RING_REACH: number = IS_WIDE ? MOST_ELEMENTS : MOST_ELEMENTS * 2;

/** The releases of Node that have arrays of more than 4 GiB, for messages. */
export const NODE_FOR_LARGE_MEMORY = 'Node 24 (any from 22 on)';

/** Why memory has an impossible size, without its subject, and what to do. */
export interface MemorySizeProblem {
  readonly message: string;
  readonly hint: string;
}

/** Why this Node cannot have `bytes` of guest memory in one array of at most `most` bytes; `undefined` where it can. */
export function memorySizeProblem(bytes: number, most: number = MOST_MEMORY): MemorySizeProblem | undefined {
  if (bytes <= most) return undefined;
  const [major] = process.versions.node.split('.');
  return {
    message: `Node ${major} has arrays of at most ${formatByteSize(most)}, and this memory takes ${formatByteSize(bytes)}`,
    hint: `use ${NODE_FOR_LARGE_MEMORY}, or at most ${formatByteSize(most)}`,
  };
}

/**
 * Throws {@link CodedError} `ERR_MACHINE_MEMORY` where `bytes` of memory are more than `most`: {@link MOST_MEMORY}
 * unless given.
 */
export function checkMemorySize(bytes: number, most: number = MOST_MEMORY): void {
  const problem = memorySizeProblem(bytes, most);
  if (problem !== undefined) throw memoryError(problem);
}

/**
 * Allocates `bytes` of zeroed memory that threads of this process can share. It is sparse: the operating system gives a
 * page at its first use. Throws {@link CodedError} `ERR_MACHINE_MEMORY` where this Node or the computer cannot.
 */
export function allocateSharedMemory(bytes: number): SharedArrayBuffer {
  checkMemorySize(bytes, MOST_SHARED_MEMORY);
  try {
    return new SharedArrayBuffer(bytes);
  } catch (cause) {
    const message = `this computer does not give ${formatByteSize(bytes)} of memory`;
    throw memoryError({ message, hint: 'set machine.memory to less, or free memory of the computer' }, cause);
  }
}

function memoryError({ message, hint }: MemorySizeProblem, cause?: unknown): CodedError {
  return new CodedError('ERR_MACHINE_MEMORY', message, { hint, cause });
}
