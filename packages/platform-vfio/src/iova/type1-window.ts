import type { DmaError } from '@virtio-platform/core';
import type { Type1Container } from '../container/type1-container.ts';
import type { DmaWindow, RefusedMapping } from './dma-window.ts';
import { explainRefusal } from './explain-refusal.ts';

/** All that an IOMMU of type 1 translates. Nothing has to be done before. */
export class Type1Window implements DmaWindow {
  readonly pageSize: number;
  readonly ranges: DmaWindow['ranges'];
  readonly #container: Type1Container;

  constructor(container: Type1Container) {
    const { pageSize, iovaRanges } = container.info();
    this.pageSize = pageSize;
    this.ranges = iovaRanges.map(({ start, end }) => ({ start, size: end + 1 - start }));
    this.#container = container;
  }

  map(address: number, iova: number, size: number, flags: number): number {
    return this.#container.mapDma(address, iova, size, flags);
  }

  unmap(iova: number, size: number): boolean {
    return this.#container.unmapDma(iova, size) === size;
  }

  explain(refused: RefusedMapping): DmaError {
    return explainRefusal(refused, this.#container.info());
  }

  close(): void {}
}
