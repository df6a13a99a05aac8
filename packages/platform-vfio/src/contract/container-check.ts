import assert from 'node:assert/strict';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { EEXIST, errnoName } from '../container/errno.ts';
import { VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, type Type1Container } from '../container/vfio-container.ts';

/** A page of memory and of the IOMMU. */
export const PAGE: number = PAGE_SIZE;
/** Permits a device all. */
export const READ_WRITE: number = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
/** Addresses and sizes have 64 bits. */
export const WRAP: number = 2 ** 64;

/**
 * A container to check, without mappings. It has a memory-lock limit below the memory of its process, a limit of at
 * most 4096 mappings, and a reserved range in the middle of its I/O virtual addresses.
 */
export interface Type1ContainerSubject {
  readonly container: Type1Container;
  /** Bytes of the process's memory: 64 pages or more. */
  readonly memorySize: number;
}

/**
 * One rule of the kernel's containers. `run` throws an assertion error when the container breaks it; `name` completes
 * "it ...".
 */
export interface Type1ContainerCheck {
  readonly name: string;
  /** The version that the rule is about; without it both. */
  readonly type?: Type1Container['type'];
  readonly run: (subject: Type1ContainerSubject) => void;
}

type Ranges = ReturnType<Type1Container['info']>['iovaRanges'];

/** The range before the first reserved range, the range behind it, and the last range. */
export function rangesOf(container: Type1Container): readonly [Ranges[number], Ranges[number], Ranges[number]] {
  const { iovaRanges } = container.info();
  const [before, behind] = iovaRanges;
  assert.ok(before !== undefined && behind !== undefined, 'the container to check has a reserved range in the middle');
  return [before, behind, iovaRanges.at(-1)!];
}

/** Bytes of whole pages that the process may lock. */
export function lockLimit({ container, memorySize }: Type1ContainerSubject): number {
  const { memoryLockLimit = Infinity } = container.info();
  assert.ok(
    memoryLockLimit < memorySize,
    'the container to check has a memory-lock limit below the memory of its process',
  );
  return Math.floor(memoryLockLimit / PAGE) * PAGE;
}

/** Maps memory far from all other mappings, which must succeed. */
export function fillLock({ container }: Type1ContainerSubject, bytes: number): void {
  expectResult(container.mapDma(0, 2 ** 32, bytes, READ_WRITE), 0, `${bytes} bytes up to the memory-lock limit`);
}

/** Two mappings: pages 4 to 7, and pages 10 and 11. */
export function mapTwo(container: Type1Container): void {
  expectResult(container.mapDma(0, 4 * PAGE, 4 * PAGE, READ_WRITE), 0, 'the first mapping');
  expectResult(container.mapDma(0, 10 * PAGE, 2 * PAGE, READ_WRITE), 0, 'the second mapping');
}

/** Checks which of the two mappings still exist. */
export function expectMapped(container: Type1Container, first: boolean, second: boolean): void {
  expectResult(container.mapDma(0, 4 * PAGE, PAGE, READ_WRITE), first ? EEXIST : 0, 'the first mapping afterwards');
  expectResult(container.mapDma(0, 11 * PAGE, PAGE, READ_WRITE), second ? EEXIST : 0, 'the second mapping afterwards');
}

/** Compares results, and shows negated errnos by their names. */
export function expectResult(actual: number, expected: number, what: string): void {
  assert.equal(resultText(actual), resultText(expected), what);
}

function resultText(result: number): string {
  return result < 0 ? errnoName(result) : String(result);
}
