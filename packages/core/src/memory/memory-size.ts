import { constants } from 'node:buffer';
import { CodedError } from '../errors/coded-error.ts';
import { formatByteSize } from './byte-size.ts';

/**
 * Bytes of the largest guest memory here: guest memory is one typed array, which holds 4 GiB in Node 20 and as much as
 * the computer has from Node 22 on.
 */
export const MOST_MEMORY: number = constants.MAX_LENGTH;

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

/** Throws {@link CodedError} `ERR_MACHINE_MEMORY` where this Node cannot have `bytes` of guest memory in one array. */
export function checkMemorySize(bytes: number): void {
  const problem = memorySizeProblem(bytes);
  if (problem !== undefined) throw memoryError(problem);
}

/**
 * Allocates `bytes` of zeroed memory that threads of this process can share. It is sparse: the operating system gives a
 * page at its first use. Throws {@link CodedError} `ERR_MACHINE_MEMORY` where this Node or the computer cannot.
 */
export function allocateSharedMemory(bytes: number): SharedArrayBuffer {
  checkMemorySize(bytes);
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
