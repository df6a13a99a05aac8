import type { FacilityToken } from '@virtio-platform/core';
import { AMD_IOMMU_FACILITY, type SimulatedAmdOptions } from '@virtio-platform/platform-amd-iommu';
import { VTD_FACILITY, type SimulatedUnitOptions } from '@virtio-platform/platform-intel-iommu';
import { TCE_FACILITY, type PseriesOptions } from '@virtio-platform/platform-pseries';
import { SMMU_FACILITY, type SimulatedSmmuOptions } from '@virtio-platform/platform-smmuv3';
import {
  VIRTIO_IOMMU_FACILITY,
  type SimulatedIommuOptions,
  type SimulatedReservedRegion,
} from '@virtio-platform/platform-virtio-iommu';
import type { BoardName } from './board/board-name.ts';
import { intelIommuSchema } from './intel-iommu-properties.ts';
import { hasIts, type QemuOptions } from './options.ts';
import { virtioIommuSchema } from './virtio-iommu-properties.ts';

/** Where a write is an interrupt, by what PROBE of QEMU's virtio-iommu tells on a board that is no PC. */
const INTERRUPTS: { readonly [Name in BoardName]?: readonly SimulatedReservedRegion[] } = {
  pseries: [],
  virt: [{ start: 0x802_0000, size: 0x1000, kind: 'msi' }],
};
/** The same of a virt with an ITS. */
const INTERRUPTS_OF_ITS: readonly SimulatedReservedRegion[] = [{ start: 0x809_0000, size: 0x1_0000, kind: 'msi' }];
/** What `simulate` takes of a window at most, in place of a larger one of QEMU. */
const LARGEST_SIMULATED_WINDOW = 2 ** 32;

/** The IOMMU of the board as options of the platform that drives it, for where QEMU is not started. */
export function simulatedAsBoard(
  needs: readonly FacilityToken[],
  options: QemuOptions,
): Readonly<Record<string, unknown>> {
  if (needs.includes(VTD_FACILITY)) return { unit: simulatedVtd(options) };
  if (needs.includes(AMD_IOMMU_FACILITY)) return { unit: SIMULATED_AMD_IOMMU };
  if (needs.includes(SMMU_FACILITY)) return { unit: simulatedSmmu(options) };
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

function simulatedSmmu(options: QemuOptions): Partial<SimulatedSmmuOptions> {
  return { isolatedMsi: hasIts(options) };
}

function simulatedVirtioIommu(options: QemuOptions): Partial<SimulatedIommuOptions> {
  const { board, virtioIommu } = options;
  const { bootBypass, packed } = virtioIommu ?? virtioIommuSchema.parse({});
  const isolatedMsi = hasIts(options);
  const reserved = isolatedMsi ? INTERRUPTS_OF_ITS : INTERRUPTS[board];
  return { bootBypass, packed, isolatedMsi, ...(reserved && { reserved }) };
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
