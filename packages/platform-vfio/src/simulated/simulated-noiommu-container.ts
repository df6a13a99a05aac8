import { ENOTTY, EPERM } from '../container/errno.ts';
import type { NoiommuContainer } from '../container/noiommu-container.ts';
import type { VfioOptions } from '../options.ts';

/** A no-IOMMU container in software (`vfio_noiommu_open`, `vfio_container_attach_group`). */
export class SimulatedNoiommuContainer implements NoiommuContainer {
  readonly type = 'noiommu';
  readonly #isAllowed: boolean;

  constructor({ unsafeNoiommuMode, capSysRawio }: VfioOptions) {
    this.#isAllowed = unsafeNoiommuMode && capSysRawio;
  }

  attach(): number {
    return this.#isAllowed ? 0 : EPERM;
  }

  mapDma(_address: number, _iova: number, _size: number, _flags: number): number {
    return ENOTTY;
  }

  unmapDma(_iova: number, _size: number, _flags?: number): number {
    return ENOTTY;
  }
}
