import assert from 'node:assert/strict';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { errnoName } from '../container/errno.ts';
import { VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, type Type1Container } from '../container/type1-container.ts';

/**
 * A container to try, with nothing mapped. It has a memory-lock limit that is below the memory of its process, a limit of mappings
 * of at most 4096, and a reserved range in the middle of its I/O virtual addresses.
 */
export interface Type1ContainerSubject {
  readonly container: Type1Container;
  /** Bytes of the process's memory: 64 pages or more. */
  readonly memorySize: number;
}

/** One promise of a container, which is the kernel's: throws an assertion when it is broken. `name` completes "it ...". */
export interface Type1ContainerCheck {
  readonly name: string;
  /** Of the version that it is about; of both unless given. */
  readonly type?: Type1Container['type'];
  readonly run: (subject: Type1ContainerSubject) => void;
}

export const PAGE: number = PAGE_SIZE;
export const READ_WRITE: number = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
/** Addresses and sizes have 64 bits. */
export const WRAP: number = 2 ** 64;

/** Compares results by the names of errnos. */
export function expectResult(actual: number, expected: number, what: string): void {
  assert.equal(resultText(actual), resultText(expected), what);
}

function resultText(result: number): string {
  return result < 0 ? errnoName(result) : String(result);
}
