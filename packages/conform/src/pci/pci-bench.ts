import { isCodedError, type ConformBench } from '@virtio-platform/core';
import type { AccessWidth, PciBar, PciFunction } from '@virtio-platform/core/device';
import { PCI_COMMAND } from '@virtio-platform/pci';
import { COMMON, NO_VECTOR, type CommonRegister } from './common-registers.ts';
import { MsixRegisters } from './msix-registers.ts';
import { CFG_TYPE, virtioCapabilities, type VirtioCapability } from './virtio-capability.ts';

/** The status register of the configuration header, and its bit for the interrupt line. */
const PCI_STATUS = 0x06;
const INTERRUPT_STATUS = 8;
const NOTIFY_MULTIPLIER = 16;

/** A structure of registers, with what a case reads and writes of it. */
export interface Structure {
  readonly capability: VirtioCapability;
  readonly bar: PciBar;
  read(offset: number, width: AccessWidth): number;
  write(offset: number, width: AccessWidth, value: number): void;
}

/** What a case of the PCI transport has beside the bench: every register of the function, by hand. */
export class PciBench {
  readonly pci: PciFunction;
  readonly capabilities: readonly VirtioCapability[];
  readonly msix: MsixRegisters | undefined;
  readonly #bench: ConformBench;
  readonly #command: number;
  readonly #structures = new Map<number, Structure>();

  constructor(bench: ConformBench) {
    this.#bench = bench;
    this.pci = bench.device.pci!;
    this.capabilities = virtioCapabilities(this.pci);
    this.msix = MsixRegisters.find(this.pci);
    this.#command = this.pci.readConfig(PCI_COMMAND, 2);
  }

  /** The registers as the case found them, so that the next one does. Never throws for a device that is gone. */
  restore(): void {
    try {
      this.pci.writeConfig(PCI_COMMAND, 2, this.#command);
      this.msix?.enable(false);
      const window = this.capabilities.find(({ type }) => type === CFG_TYPE.window);
      if (window !== undefined) this.pci.writeConfig(window.at + 12, 4, 0);
    } catch (error) {
      if (!isCodedError(error)) throw error;
    }
  }

  /** The structure of a type that its driver uses. Fails the case where there is none that is mapped. */
  structure(type: number): Structure {
    const known = this.#structures.get(type);
    if (known !== undefined) return known;
    for (const capability of this.capabilities) {
      const bar = capability.type === type && capability.bar <= 5 ? this.pci.openBar(capability.bar) : undefined;
      if (bar === undefined || capability.offset + capability.bytes > bar.size) continue;
      const { offset: base } = capability;
      const found: Structure = {
        capability,
        bar,
        read: (offset, width) => bar.read(base + offset, width),
        write: (offset, width, value) => bar.write(base + offset, width, value),
      };
      this.#structures.set(type, found);
      return found;
    }
    return this.#bench.fail(`the function has no structure of type ${type} that is mapped`);
  }

  /** Whether the common configuration of the device is long enough for a register. */
  has({ offset, width }: CommonRegister): boolean {
    return this.structure(CFG_TYPE.common).capability.bytes >= offset + width;
  }

  read({ offset, width }: CommonRegister): number {
    return this.structure(CFG_TYPE.common).read(offset, width) >>> 0;
  }

  /** Writes a register, and waits until the write has arrived: a bus posts writes, and devices look at memory. */
  write({ offset, width }: CommonRegister, value: number): void {
    const common = this.structure(CFG_TYPE.common);
    common.write(offset, width, value);
    common.read(COMMON.status.offset, COMMON.status.width);
  }

  /** Reads a register of a queue. */
  readOf(queue: number, register: CommonRegister): number {
    this.write(COMMON.queueSelect, queue);
    return this.read(register);
  }

  writeOf(queue: number, register: CommonRegister, value: number): void {
    this.write(COMMON.queueSelect, queue);
    this.write(register, value);
  }

  /** Reads the interrupt status, which clears it. */
  takeIsr(): number {
    return this.structure(CFG_TYPE.isr).read(0, 1);
  }

  /** Whether the function says that its interrupt line is asserted, or would be. */
  get isInterrupting(): boolean {
    return (this.pci.readConfig(PCI_STATUS, 2) & INTERRUPT_STATUS) !== 0;
  }

  /** Bytes between two notification registers. */
  get notifyMultiplier(): number {
    return this.pci.readConfig(this.structure(CFG_TYPE.notify).capability.at + NOTIFY_MULTIPLIER, 4) >>> 0;
  }

  /** Where a queue is notified, from the start of the notification structure on. */
  notifyOffset(queue: number): number {
    return this.readOf(queue, COMMON.queueNotifyOff) * this.notifyMultiplier;
  }

  /** Writes the number of a queue to the notification register of `at`. */
  notify(queue: number, at: number = queue, width: AccessWidth = 2): void {
    this.structure(CFG_TYPE.notify).write(this.notifyOffset(at), width, queue);
  }

  /** MSI-X. Skips the case where the function has none. */
  requireMsix(): MsixRegisters {
    const { msix } = this;
    return msix?.tableBar === undefined ? this.#bench.skip('the function has no MSI-X') : msix;
  }

  /** MSI-X whose messages a case can see: they are memory of the driver. Skips the case where they are not. */
  messageVectors(): MsixRegisters {
    const msix = this.requireMsix();
    if (this.#bench.transport.interruptMessages === undefined)
      return this.#bench.skip('messages of its interrupts reach no memory of the driver here');
    return msix;
  }

  /** Turns MSI-X off, and takes all vectors from the queues that are enabled. */
  useInterruptLine(): void {
    this.msix?.enable(false);
    this.write(COMMON.configVector, NO_VECTOR);
    for (const queue of this.#bench.enabled) this.writeOf(queue, COMMON.queueVector, NO_VECTOR);
  }
}
