import type { OptionalFeature } from '../virtio-iommu-options.ts';
import { STATUS_INVALID, STATUS_RANGE } from './request-format.ts';

interface Refusal {
  readonly request: 'ATTACH' | 'MAP';
  readonly status: number;
  readonly feature: OptionalFeature;
  /** What the feature tells the driver. */
  readonly tells: string;
}

const REFUSALS: readonly Refusal[] = [
  {
    request: 'ATTACH',
    status: STATUS_RANGE,
    feature: 'IOMMU_DOMAIN_RANGE',
    tells: 'which domain numbers the unit has',
  },
  { request: 'MAP', status: STATUS_RANGE, feature: 'IOMMU_INPUT_RANGE', tells: 'which addresses the unit translates' },
  { request: 'MAP', status: STATUS_INVALID, feature: 'IOMMU_PROBE', tells: 'which addresses the unit reserves' },
];

/** What to do where a unit refuses what a driver without a feature asks; `undefined` where it has the feature. */
export function lackedFeature(
  lacks: readonly OptionalFeature[],
  request: Refusal['request'],
  status: number,
): string | undefined {
  const refusal = REFUSALS.find((each) => each.request === request && each.status === status);
  if (refusal === undefined || !lacks.includes(refusal.feature)) return undefined;
  return `leave ${refusal.feature} out of platform.lacks: without it the driver is not told ${refusal.tells}`;
}
