import type { FacilityToken } from '@virtio-platform/core';
import { AMD_IOMMU_FACILITY, type SimulatedAmdOptions } from '@virtio-platform/platform-amd-iommu';
import { VTD_FACILITY, type SimulatedUnitOptions } from '@virtio-platform/platform-intel-iommu';
import { TCE_FACILITY, type PseriesOptions } from '@virtio-platform/platform-pseries';
import {
  VIRTIO_IOMMU_FACILITY,
  type SimulatedIommuOptions,
  type SimulatedReservedRegion,
} from '@virtio-platform/platform-virtio-iommu';
import type { BoardName } from './board/board-name.ts';
import { intelIommuSchema } from './intel-iommu-properties.ts';
import type { QemuOptions } from './options.ts';
import { virtioIommuSchema } from './virtio-iommu-properties.ts';

/** Where a write is an interrupt, by what PROBE of QEMU's virtio-iommu tells on a board that is no PC. */
const INTERRUPTS: { readonly [Name in BoardName]?: readonly SimulatedReservedRegion[] } = {
  pseries: [],
  virt: [{ start: 0x802_0000, size: 0x1000, kind: 'msi' }],
};
/** What `simulate` takes of a window at most, in place of a larger one of QEMU. */
const LARGEST_SIMULATED_WINDOW = 2 ** 32;

/** The IOMMU of the board as options of the platform that drives it, for where QEMU is not started. */
export function simulatedAsBoard(
  needs: readonly FacilityToken[],
  options: QemuOptions,
): Readonly<Record<string, unknown>> {
  if (needs.includes(VTD_FACILITY)) return { unit: simulatedVtd(options) };
  if (needs.includes(AMD_IOMMU_FACILITY)) return { unit: SIMULATED_AMD_IOMMU };
  if (needs.includes(VIRTIO_IOMMU_FACILITY)) return { unit: simulatedVirtioIommu(options) };
  return needs.includes(TCE_FACILITY) ? simulatedWindows(options) : {};
}

/** QEMU's unit writes no event. */
const SIMULATED_AMD_IOMMU: Partial<SimulatedAmdOptions> = { eventLog: false };

function simulatedVtd({ intelIommu }: QemuOptions): Partial<SimulatedUnitOptions> {
  const { addressWidth, cachingMode, interruptRemapping, passThrough, scalableMode } =
    intelIommu ?? intelIommuSchema.parse({});
  return { addressWidth, cachingMode, interruptRemapping, passThrough, scalableMode };
}

function simulatedVirtioIommu({ board, virtioIommu }: QemuOptions): Partial<SimulatedIommuOptions> {
  const { bootBypass, packed } = virtioIommu ?? virtioIommuSchema.parse({});
  const reserved = INTERRUPTS[board];
  return { bootBypass, packed, ...(reserved && { reserved }) };
}

function simulatedWindows({ hostBridge = {} }: QemuOptions): {
  readonly [Key in keyof PseriesOptions]?: PseriesOptions[Key] | undefined;
} {
  const { dynamicWindows = true, defaultWindowSize, ...places } = hostBridge;
  return {
    ...places,
    dynamicWindows: dynamicWindows ? 'beside' : 'none',
    ...(defaultWindowSize && { defaultWindowSize: Math.min(defaultWindowSize, LARGEST_SIMULATED_WINDOW) }),
  };
}
