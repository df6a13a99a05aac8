import { facilityName, type FacilityProblem, type FacilityToken } from '@virtio-platform/core';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { ConvertibleMemory, type SharedMemory } from '@virtio-platform/host';
import { NO_MSIX, PciModernTransport } from '@virtio-platform/pci';
import { AMD_IOMMU_FACILITY } from '@virtio-platform/platform-amd-iommu';
import { VTD_FACILITY } from '@virtio-platform/platform-intel-iommu';
import { TCE_FACILITY } from '@virtio-platform/platform-pseries';
import { MEMORY_CONVERSION } from '@virtio-platform/platform-sev';
import { SMMU_FACILITY } from '@virtio-platform/platform-smmuv3';
import { VIRTIO_IOMMU_FACILITY, type VirtioIommuFacility } from '@virtio-platform/platform-virtio-iommu';
import { AmdIommuRegisters } from './amd-iommu/amd-iommu-registers.ts';
import type { DeniedAccesses } from './amd-iommu/denied-accesses.ts';
import { DEVICE_SLOT, IOMMU_SLOT } from './device-arguments.ts';
import { FileMemoryConversion } from './machine-memory.ts';
import { busOf, hasIts, type QemuOptions } from './options.ts';
import { HypercallMailbox } from './pseries/hypercall-mailbox.ts';
import { QemuTceFacility } from './pseries/qemu-tce-facility.ts';
import { Rtas, PseriesBoard } from './pseries/pseries-board.ts';
import type { QtestConnection } from './qtest/qtest-connection.ts';
import { hasSlots } from './board/board-name.ts';
import { ArmBoard, SmmuRegisters } from './board/arm-board.ts';
import { BoardSlot } from './board/board-slot.ts';
import { BoardFunction, type Board } from './board/board.ts';
import { VtdRegisters, X86Board } from './board/x86-board.ts';

/** The facilities that the boards provide: what each is, and how a profile has QEMU make one. */
const PROVIDED: ReadonlyMap<FacilityToken, readonly [what: string, how: string]> = new Map([
  [AMD_IOMMU_FACILITY, ['an AMD IOMMU', 'machine.board: q35 with machine.iommu: amd']],
  [MEMORY_CONVERSION, ['protected memory', 'machine.board: q35, pc or microvm']],
  [SMMU_FACILITY, ['an SMMUv3', 'machine.board: virt with machine.iommu: smmuv3']],
  [TCE_FACILITY, ['TCE tables', 'machine.board: pseries']],
  [VIRTIO_IOMMU_FACILITY, ['a virtio-iommu', 'machine.iommu: virtio, on pc, q35, pseries or virt']],
  [VTD_FACILITY, ['VT-d', 'machine.board: q35 with machine.iommu: intel']],
]);

/** The facilities that the boards provide, each of them on some boards. */
export const FACILITIES: readonly FacilityToken[] = [...PROVIDED.keys()];

/** A board that is ready for a driver. */
export interface OpenedBoard {
  readonly device: BoardFunction | BoardSlot;
  /** The facilities for the platform, by token. */
  readonly facilities: ReadonlyMap<FacilityToken, unknown>;
}

/** Why the board lacks one of these facilities. */
export function boardProblem(options: QemuOptions, needs: readonly FacilityToken[]): FacilityProblem | undefined {
  const { board, iommu } = options;
  const has: FacilityToken[] = board === 'virt' ? [] : [board === 'pseries' ? TCE_FACILITY : MEMORY_CONVERSION];
  if (iommu === 'amd') has.push(AMD_IOMMU_FACILITY);
  if (iommu === 'intel') has.push(VTD_FACILITY);
  if (iommu === 'smmuv3') has.push(SMMU_FACILITY);
  if (iommu === 'virtio') has.push(VIRTIO_IOMMU_FACILITY);
  const missing = needs.find((need) => !has.includes(need));
  return missing && missingFacility(options, missing);
}

function undriven(what: string, hint: string): FacilityProblem {
  return {
    message: `${what} a device that offers ACCESS_PLATFORM, and the platform does not drive it`,
    hint: `${hint}, or leave ACCESS_PLATFORM out of device.offers`,
  };
}

/** Why a device that offers ACCESS_PLATFORM reaches nothing: it is behind an IOMMU that the platform does not drive. */
export function undrivenProblem(
  { board, iommu, virtioIommu }: QemuOptions,
  needs: readonly FacilityToken[],
): FacilityProblem | undefined {
  if (iommu === 'virtio') {
    const isOpen = virtioIommu?.bootBypass !== false || needs.includes(VIRTIO_IOMMU_FACILITY);
    return isOpen ? undefined : undriven('the virtio-iommu stops', 'set machine.virtioIommu.bootBypass: true');
  }
  const isDriven = board !== 'pseries' || needs.includes(TCE_FACILITY);
  return isDriven
    ? undefined
    : undriven("the host bridge of QEMU's pseries translates for", 'use a platform with TCE tables');
}

/**
 * Opens the device and the IOMMU of the board. `backing` is the memory that QEMU maps, and `denied` what it traces of
 * an AMD IOMMU.
 */
export function openBoard(
  options: QemuOptions,
  memory: GuestMemory,
  backing: SharedMemory,
  qtest: QtestConnection,
  denied?: DeniedAccesses,
): OpenedBoard {
  const { board: name, iommu, slot = 0 } = options;
  const facilities = new Map<FacilityToken, unknown>();
  if (backing instanceof ConvertibleMemory)
    facilities.set(MEMORY_CONVERSION, new FileMemoryConversion(memory, backing));
  if (hasSlots(name) && busOf(options) === 'mmio') return { device: new BoardSlot(name, slot, qtest), facilities };
  let board: Board;
  if (name === 'virt') {
    board = new ArmBoard(qtest);
    if (iommu === 'smmuv3') facilities.set(SMMU_FACILITY, new SmmuRegisters(qtest, DEVICE_SLOT << 3, hasIts(options)));
  } else if (name === 'pseries') {
    const rtas = new Rtas(memory, qtest);
    const mailbox = new HypercallMailbox(memory, qtest, options.replyTimeout);
    board = new PseriesBoard(qtest, rtas);
    facilities.set(TCE_FACILITY, new QemuTceFacility(memory, mailbox, rtas, DEVICE_SLOT << 3));
  } else {
    board = new X86Board(name === 'q35' ? name : 'pc', qtest);
    if (iommu === 'intel') facilities.set(VTD_FACILITY, new VtdRegisters(qtest, DEVICE_SLOT << 3));
    if (iommu === 'amd')
      facilities.set(AMD_IOMMU_FACILITY, new AmdIommuRegisters(board, qtest, DEVICE_SLOT << 3, denied));
  }
  if (iommu === 'virtio') facilities.set(VIRTIO_IOMMU_FACILITY, openVirtioIommu(board, hasIts(options)));
  return { device: new BoardFunction(board, DEVICE_SLOT), facilities };
}

/** The unit has no interrupts: its driver waits for each answer. */
function openVirtioIommu(board: Board, isolatedMsi: boolean): VirtioIommuFacility {
  const transport = new PciModernTransport(new BoardFunction(board, IOMMU_SLOT), NO_MSIX);
  return { transport, endpoint: DEVICE_SLOT << 3, isolatedMsi };
}

function missingFacility({ board, iommu }: QemuOptions, need: FacilityToken): FacilityProblem {
  const machine = iommu === 'none' ? board : `${board} with machine.iommu: ${iommu}`;
  const [what, how] = PROVIDED.get(need) ?? [facilityName(need), 'another machine'];
  return { message: `QEMU's ${machine} does not have ${what}, which the platform needs`, hint: `use ${how}` };
}
