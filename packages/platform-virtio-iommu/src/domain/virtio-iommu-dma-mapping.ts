import { DmaError } from '@virtio-platform/core';
import { IovaDmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory, LeakLog } from '@virtio-platform/core/memory';
import { lackedFeature } from '../unit/lacked-feature.ts';
import { NO_ANSWER } from '../unit/iommu-unit.ts';
import { STATUS_NO_MEMORY, STATUS_OK, statusName } from '../unit/request-format.ts';
import type { OptionalFeature } from '../virtio-iommu-options.ts';
import type { TranslatedDomain } from './translated-domain.ts';

/** What the errors of a mapping need to know of the profile. */
export interface MappingHints {
  /** How to have more addresses. */
  readonly more: string;
  /** Whether MAP requests fail on purpose. */
  readonly failsMaps: boolean;
  readonly lacks: readonly OptionalFeature[];
}

/** The mapping of a queue in a translated domain. */
export class VirtioIommuDmaMapping extends IovaDmaMapping {
  readonly #domain: TranslatedDomain;
  readonly #hints: MappingHints;

  /** `capacity` is how many mappings can live at once. The mapping does not own the domain and the log. */
  constructor(
    memory: GuestMemory,
    domain: TranslatedDomain,
    capacity: number,
    leaks?: LeakLog,
    hints: MappingHints = { more: 'raise platform.aperture', failsMaps: false, lacks: [] },
  ) {
    super(memory, domain, {
      capacity,
      leaks,
      platform: 'virtio-iommu',
      failed: 'did not unmap',
      because: 'because the unit does not unmap them',
      more: hints.more,
      hint: `${hints.more}, or ask for less (a smaller queue or depth)`,
    });
    this.#domain = domain;
    this.#hints = hints;
  }

  protected override regionError(reason: number, length: number): DmaError {
    const { status } = this.#domain;
    if (status === STATUS_OK) return super.regionError(reason, length);
    const answer = status === NO_ANSWER ? 'does not answer MAP' : `answers MAP with ${statusName(status)}`;
    return new DmaError('ERR_DMA_EXHAUSTED', `virtio-iommu: the unit ${answer} while ${length} bytes are mapped`, {
      hint: this.#refusalHint(status),
    });
  }

  #refusalHint(status: number): string {
    const { failsMaps, lacks } = this.#hints;
    if (status !== STATUS_NO_MEMORY) return lackedFeature(lacks, 'MAP', status) ?? 'the unit is broken, or is not one';
    const more = 'raise platform.unit.mappings of the simulated machine, or ask for less (a smaller queue or depth)';
    return failsMaps ? `platform.failures.map has it refuse; otherwise ${more}` : more;
  }
}
