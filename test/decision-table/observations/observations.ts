import { DEVICE_OBSERVATIONS } from './device-observations.ts';
import { MAPPING_OBSERVATIONS } from './mapping-observations.ts';
import { NEGOTIATION_OBSERVATIONS } from './negotiation-observations.ts';
import type { Observation } from './observation.ts';
import { VFIO_OBSERVATIONS } from './vfio-observations.ts';
import { TAKEOVER_OBSERVATIONS } from './takeover-observations.ts';

/** By number, and case where a row has several: how each row is seen that no negotiation decides. */
export const OBSERVATIONS: Readonly<Record<string, Observation>> = {
  ...DEVICE_OBSERVATIONS,
  ...MAPPING_OBSERVATIONS,
  ...NEGOTIATION_OBSERVATIONS,
  ...VFIO_OBSERVATIONS,
  ...TAKEOVER_OBSERVATIONS,
};
