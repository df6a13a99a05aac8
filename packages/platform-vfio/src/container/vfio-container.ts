import { CodedError, type FacilityToken } from '@virtio-platform/core';
import type { IommufdIoas } from './iommufd-ioas.ts';
import type { NoiommuContainer } from './noiommu-container.ts';
import type { SpaprContainer } from './spapr-container.ts';
import type { Type1Container } from './type1-container.ts';

/** What a process gets its device through, by `type`. A machine provides one; the profile says which it wants. */
export type VfioContainer = Type1Container | SpaprContainer | IommufdIoas | NoiommuContainer;

/** In the order in which Linux got them. */
export const CONTAINER_TYPES = ['type1', 'spapr-v1', 'type1v2', 'noiommu', 'spapr-v2', 'iommufd'] as const;
export type ContainerType = (typeof CONTAINER_TYPES)[number];

export const VFIO_CONTAINER: FacilityToken = Symbol.for('@virtio-platform/platform-vfio:VfioContainer');

/** What VFIO_CHECK_EXTENSION would have told: the machine's container is not of the type that the profile asks for. */
export function wrongContainer(container: VfioContainer, type: ContainerType): CodedError {
  return new CodedError('ERR_PLUGIN_FACILITY', `this machine's container is ${container.type}, not ${type}`, {
    hint: `set platform.container: ${container.type}, or use the simulated machine, which has all of them`,
  });
}
