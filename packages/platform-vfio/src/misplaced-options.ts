import type { ContainerType } from './container/vfio-container.ts';
import type { VfioOptions } from './options.ts';

const TYPE1 = ['type1', 'type1v2'] as const;
const SPAPR = ['spapr-v1', 'spapr-v2'] as const;
const TRANSLATING = [...TYPE1, ...SPAPR, 'iommufd'] as const;

type Option = Exclude<keyof VfioOptions, 'container'>;

/** Which kinds of container have an option. */
const PLACES: Readonly<Record<Option, readonly ContainerType[]>> = {
  iovaStart: TRANSLATING,
  interruptRemapping: [...TYPE1, 'iommufd'],
  window: ['spapr-v2'],
  memoryLockLimit: TRANSLATING,
  capIpcLock: TRANSLATING,
  lockedByProcess: [...TYPE1, ...SPAPR],
  lockedByUser: ['iommufd'],
  entryLimit: TYPE1,
  addressWidth: [...TYPE1, 'iommufd'],
  reserved: [...TYPE1, 'iommufd'],
  defaultWindowSize: SPAPR,
  backingPageSize: SPAPR,
  unsafeNoiommuMode: ['noiommu'],
  capSysRawio: ['noiommu'],
};

/** Finds options that this kind of container does not have, where they say something else than leaving them out. */
export function* misplacedOptions(options: VfioOptions, defaults: VfioOptions): Generator<readonly [Option, string]> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a record of exactly these
  for (const key of Object.keys(PLACES) as Option[]) {
    const places = PLACES[key];
    if (options[key] === defaults[key] || places.includes(options.container)) continue;
    yield [key, `container ${options.container} has no ${key}: leave it out, or use container ${places.join(' or ')}`];
  }
}
