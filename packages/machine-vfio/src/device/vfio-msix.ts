import { EventFd, NativeBuffer, PollEvents, PollSet, type DeviceFile } from '@virtio-platform/host';
import type { PciInterrupts } from '@virtio-platform/pci';
import { checkErrno, readStructure } from '../kernel/sized-structure.ts';
import { VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_SET_IRQS, VFIO_PCI_MSIX_IRQ_INDEX } from '../kernel/vfio-requests.ts';

/** Bytes of struct vfio_irq_info: size, flags, index, count. */
const INFO_BYTES = 16;
/** Bytes of struct vfio_irq_set: size, flags, index, first, count. The data of the flags follows. */
const SET_BYTES = 20;
const DATA_NONE = 1;
const DATA_EVENTFD = 4;
const ACTION_TRIGGER = 32;
/** The largest number of vectors of a PCI function (PCI local bus specification 3.0 section 6.8.2). */
const MOST_VECTORS = 2048;

/**
 * MSI-X of a VFIO device: the kernel receives the messages, and counts those of each vector in an event counter. The
 * caller keeps and closes the device file.
 */
export class VfioMsix implements PciInterrupts {
  readonly vectors: number;
  readonly msixBytes = 0;
  readonly #file: DeviceFile;
  readonly #name: string;
  /** The event counter of each enabled vector. */
  #events: readonly EventFd[] = [];
  #poll: PollSet | undefined;
  #listener: (() => void) | undefined;
  /** The vectors whose message was taken and not asked for yet. */
  readonly #taken = new Set<number>();

  private constructor(file: DeviceFile, name: string, vectors: number) {
    this.#file = file;
    this.#name = name;
    this.vectors = vectors;
  }

  /** Reads the number of vectors of a device, which `name` names in messages. Throws {@link CodedError}. */
  static find(file: DeviceFile, name: string): VfioMsix {
    return new VfioMsix(file, name, countVectors(file, name));
  }

  receiveIn(): never {
    throw new TypeError('the kernel receives the MSI-X messages');
  }

  enable(count: number): void {
    if (!(count >= 1 && count <= this.vectors)) throw new RangeError(`${count} of ${this.vectors} vectors`);
    this.disable();
    // The kernel warns about one event counter for several vectors, so each has its own.
    this.#events = Array.from({ length: count }, () => new EventFd());
    this.#poll = new PollSet(count);
    for (const [i, { descriptor }] of this.#events.entries()) this.#poll.set(i, descriptor, PollEvents.Readable);
    if (this.#listener !== undefined) for (const event of this.#events) event.watch(this.#listener);
    const descriptors = this.#events.map(({ descriptor }) => descriptor);
    checkErrno(this.#set(DATA_EVENTFD, descriptors), `receive the MSI-X messages of ${this.#name}`);
  }

  watch(listener: () => void): void {
    this.#listener = listener;
  }

  wait(timeoutMs: number): boolean {
    if (this.#listener !== undefined && this.#drain()) return true;
    return this.#poll?.wait(timeoutMs) === true && this.#drain();
  }

  /** Returns whether there was a message. */
  #drain(): boolean {
    let isAny = false;
    for (let i = 0; i < this.#events.length; i++) {
      if (this.#events[i]!.drain() === 0) continue;
      this.#taken.add(i);
      isAny = true;
    }
    return isAny;
  }

  takeVector(vector: number): boolean {
    return this.#taken.delete(vector);
  }

  disable(): void {
    this.#taken.clear();
    if (this.#events.length === 0) return;
    // The result is ignored: what the kernel still holds ends with the device file.
    this.#set(DATA_NONE, []);
    for (const event of this.#events) event.dispose();
    this.#events = [];
    this.#poll?.dispose();
    this.#poll = undefined;
  }

  #set(data: number, descriptors: readonly number[]): number {
    const bytes = SET_BYTES + 4 * descriptors.length;
    const argument = new NativeBuffer(bytes);
    try {
      argument.bytes.setUint32(0, bytes, true);
      argument.bytes.setUint32(4, data | ACTION_TRIGGER, true);
      argument.bytes.setUint32(8, VFIO_PCI_MSIX_IRQ_INDEX, true);
      argument.bytes.setUint32(16, descriptors.length, true);
      descriptors.forEach((event, i) => argument.bytes.setInt32(SET_BYTES + 4 * i, event, true));
      return this.#file.control(VFIO_DEVICE_SET_IRQS, argument);
    } finally {
      argument.dispose();
    }
  }
}

function countVectors(file: DeviceFile, name: string): number {
  const info = readStructure(file, VFIO_DEVICE_GET_IRQ_INFO, {
    bytes: INFO_BYTES,
    doing: `ask ${name} for its MSI-X vectors`,
    fill: (structure) => structure.setUint32(8, VFIO_PCI_MSIX_IRQ_INDEX, true),
  });
  return Math.min(info.getUint32(12, true), MOST_VECTORS);
}
