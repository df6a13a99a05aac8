import { CodedError, RequestedMachine } from '@virtio-platform/core';
import { resolve } from 'node:path';
import type { BootedMachine, DeviceProgram, QemuResources } from '@virtio-platform/core';
import { FaultLog } from '@virtio-platform/core/address-space';
import type { Transport } from '@virtio-platform/core/device';
import { VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_RESET } from '@virtio-platform/core/features';
import { GuestMemory } from '@virtio-platform/core/memory';
import { Disposal, Loopback, TemporaryFolder } from '@virtio-platform/host';
import { openMmioTransport } from '@virtio-platform/mmio';
import {
  checkDeviceType,
  hiddenFeatures,
  NO_MSIX,
  PciLegacyTransport,
  PciModernTransport,
  PolledMsix,
  VECTORS,
  type PciFunction,
} from '@virtio-platform/pci';
import { MEMORY_CONVERSION } from '@virtio-platform/platform-sev';
import { DeniedAccesses } from './amd-iommu/denied-accesses.ts';
import { startBackEnd } from './back-end-program.ts';
import { buildBoardFirmware } from './board/board-firmware.ts';
import type { BoardSlot } from './board/board-slot.ts';
import { BoardFunction } from './board/board.ts';
import { boardProblem, openBoard } from './open-board.ts';
import { deviceArguments } from './device-arguments.ts';
import { createMachineMemory, firstDriverAddress, memoryHole } from './machine-memory.ts';
import { busOf, qemuProgram, type QemuOptions } from './options.ts';
import { qemuArguments, FIRST_DEVICE_DESCRIPTOR, startQemu } from './qemu-process.ts';
import { QemuTrace } from './qemu-trace.ts';

/**
 * A machine of QEMU, driven from outside: this process is its processor, and QEMU implements its device. QEMU's IOMMU
 * enforces the platform's rules; the operating system enforces those of protected memory. QEMU's devices hide blocked
 * accesses: the request completes with status OK, and only an IOMMU that records faults for its driver shows them.
 */
export class QemuMachine extends RequestedMachine<QemuOptions> {
  readonly name = 'qemu';

  async boot(): Promise<BootedMachine> {
    return await Disposal.orNothing((disposal) => this.#boot(disposal));
  }

  async #boot(disposal: Disposal): Promise<BootedMachine> {
    const { needs, device, baseDirectory, signal } = this.request;
    const { board: boardName, backEnd, startTimeout } = this.options;
    const problem = boardProblem(this.options, needs);
    if (problem !== undefined) throw new CodedError('ERR_PLUGIN_FACILITY', problem.message, { hint: problem.hint });
    const folder = new TemporaryFolder();
    disposal.add(() => folder.dispose());
    const backing = createMachineMemory(boardName, this.request.memory, needs.includes(MEMORY_CONVERSION));
    disposal.add(() => backing.dispose());
    const hole = memoryHole(boardName, this.request.memory);
    const memory = new GuestMemory(backing.buffer, firstDriverAddress(boardName), hole);

    const firmware = folder.createFile('firmware', buildBoardFirmware(boardName));
    const loopbacks: Loopback[] = [];
    let images = 0;
    disposal.add(() => loopbacks.forEach((loopback) => loopback.dispose()));
    const log = folder.pathOf('trace');
    const trace = await this.#openTrace(log);
    const denied = this.options.iommu === 'amd' ? new DeniedAccesses(log, trace === undefined) : undefined;
    disposal.add(() => denied?.dispose());
    const surroundings = { folder, directory: baseDirectory, startTimeout, signal };
    const started = typeof backEnd === 'object' ? await startBackEnd(backEnd, surroundings, disposal) : undefined;
    const socket = typeof backEnd === 'string' ? resolve(baseDirectory, backEnd) : started?.socket;
    // Once QEMU has ended, and before its folder is gone.
    disposal.add(() => trace?.tell());
    const resources: QemuResources = {
      image: (path, capacity) =>
        path === undefined ? folder.createSparseFile(`image${images++}`, capacity) : resolve(baseDirectory, path),
      loopback: (kind) =>
        FIRST_DEVICE_DESCRIPTOR - 1 + loopbacks.push(kind === 'packets' ? Loopback.packets() : Loopback.stream()),
      backEnd: socket,
    };
    const command = [
      qemuProgram(this.options),
      ...qemuArguments(this.options, this.request.memory, firmware),
      ...(trace?.arguments ?? []),
      ...(denied?.arguments ?? []),
      ...deviceArguments(device, resources, busOf(this.options) === 'mmio' ? (this.options.slot ?? 0) : undefined),
      ...this.options.arguments,
    ];
    const descriptors = [backing.descriptor, ...loopbacks.map(({ descriptor }) => descriptor)];
    const own = { folder, directory: baseDirectory, descriptors, signal };
    const { qtest, program: qemu } = await startQemu(command, this.options, own, disposal);

    const { device: opened, facilities } = openBoard(this.options, memory, backing, qtest, denied);
    const pci = opened instanceof BoardFunction ? opened : undefined;
    const transport = opened instanceof BoardFunction ? this.#openPci(opened, memory) : this.#openMmio(opened);
    checkDeviceType(transport, opened.name, device);
    disposal.add(() => transport.dispose());
    // The back-end, where there is one, unless it is QEMU that has ended.
    const deviceProgram = (): DeviceProgram => {
      const program = qemu.ending === undefined ? (started?.program ?? qemu) : qemu;
      return { ending: program.ending, stderrTail: program.stderrTail() };
    };
    const dispose = (): Promise<void> => disposal.run();
    return { memory, transport, pci, facilities, faults: new FaultLog(), deviceProgram, dispose };
  }

  /** What the profile wants QEMU to trace, where it is recorded. */
  async #openTrace(log: string): Promise<QemuTrace | undefined> {
    const { trace } = this.options;
    const { recorder } = this.request;
    if (trace.length === 0 || recorder === undefined) return undefined;
    return await QemuTrace.open(qemuProgram(this.options), trace, log, recorder);
  }

  /** QEMU's slots have no register to reset a queue with, although its devices offer it. */
  #openMmio(slot: BoardSlot): Transport {
    const { driverInterface } = this.request.device;
    const hidden = hiddenFeatures(this.request.device, driverInterface === 'legacy' ? 'legacy' : 'mmio');
    return openMmioTransport(slot, driverInterface, {
      hidden: hidden.with(VIRTIO_F_RING_RESET),
      unmarkedLengths: true,
    });
  }

  #openPci(pci: PciFunction, memory: GuestMemory): Transport {
    const { driverInterface } = this.request.device;
    const isLegacy = driverInterface === 'legacy';
    const hidden = hiddenFeatures(this.request.device, isLegacy ? 'legacy' : 'pci');
    const interrupts = this.#canReceiveMsix() ? new PolledMsix(pci, memory, VECTORS) : NO_MSIX;
    return isLegacy ? new PciLegacyTransport(pci, interrupts, hidden) : new PciModernTransport(pci, interrupts, hidden);
  }

  /**
   * The IOMMU translates MSI-X messages even where the data bypasses it, and then no mapping exists for the messages.
   * QEMU 7.2 without KVM ends at the start of a device that has MSI-X and a vhost-user back-end.
   */
  #canReceiveMsix(): boolean {
    const { board, iommu, interrupts, backEnd } = this.options;
    if (backEnd !== undefined) return false;
    const hasIommu = board === 'pseries' || iommu !== 'none';
    const isTranslated = this.request.device.offers?.has(VIRTIO_F_ACCESS_PLATFORM) === true;
    return interrupts !== 'isr' && (!hasIommu || isTranslated);
  }
}
