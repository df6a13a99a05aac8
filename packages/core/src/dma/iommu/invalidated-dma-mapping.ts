import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { LeakLog } from '../../memory/leak-log.ts';
import { IovaDmaMapping } from '../iova-dma-mapping.ts';
import type { InvalidatedDomain } from './invalidated-domain.ts';

/** What a mapping in an {@link InvalidatedDomain} is opened with. */
export interface InvalidatedMappingTerms {
  /** Name of the platform, for errors. */
  readonly platform: string;
  /** How many mappings can live at once. */
  readonly capacity: number;
  /** How to have more addresses: `raise platform.aperture`. */
  readonly more: string;
  /** Gets what is not taken back. */
  readonly leaks?: LeakLog | undefined;
}

/** The mapping of a queue in a translated domain, which owns neither the domain nor the log. */
export class InvalidatedDmaMapping extends IovaDmaMapping {
  constructor(
    memory: GuestMemory,
    domain: InvalidatedDomain,
    { platform, capacity, leaks, more }: InvalidatedMappingTerms,
  ) {
    super(memory, domain, {
      capacity,
      leaks,
      platform,
      failed: 'did not confirm the invalidation of',
      because: 'because the unit does not confirm an invalidation',
      more,
      hint: `${more}, raise machine.memory, or ask for less (a smaller queue or depth)`,
    });
  }
}
