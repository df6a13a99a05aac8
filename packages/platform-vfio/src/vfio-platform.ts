import type { AddressRange, MappingRequest, Platform, PlatformStatistics } from '@virtio-platform/core';
import { addressEnd, FULL_ADDRESSING } from '@virtio-platform/core/dma';
import type { DeviceAddressing, DmaMapping, DmaPath } from '@virtio-platform/core/dma';
import { LeakLog, type GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { wrongContainer, type OtherDeviceState, type VfioContainer } from './container/vfio-container.ts';
import type { IovaSpace } from './iova/iova-space.ts';
import { keepOverExec } from './iova/keep-over-exec.ts';
import { openIovaSpace, type TranslatingContainer } from './iova/open-iova-space.ts';
import { MAPPING_STEPS } from './mapping-steps.ts';
import type { VfioOptions } from './options.ts';
import { VfioDmaMapping } from './vfio-dma-mapping.ts';
import { VFIO_RULES } from './vfio-rules.ts';

/**
 * An unprivileged process with a device of its own. The device reaches only memory that the process pinned and mapped
 * in its container. A device address is an I/O virtual address, which the process or the kernel chose.
 */
export class VfioPlatform implements Platform {
  readonly name = 'vfio';
  readonly rules: readonly NegotiationRule[] = VFIO_RULES;
  readonly guestByteOrder: ByteOrder = 'little';
  readonly traits: PlatformTraits;
  /** What the kernel did not unmap. */
  readonly leaks: LeakLog;
  readonly #memory: GuestMemory;
  readonly #container: TranslatingContainer;
  readonly #options: VfioOptions;
  readonly #addressing: DeviceAddressing;
  readonly #mappings: VfioDmaMapping[] = [];
  #iovas: IovaSpace | undefined;
  #interrupts: readonly AddressRange[] | undefined;

  constructor(
    options: VfioOptions,
    memory: GuestMemory,
    container: VfioContainer,
    addressing: DeviceAddressing = FULL_ADDRESSING,
  ) {
    if (container.type !== options.container || container.type === 'noiommu')
      throw wrongContainer(container, options.container);
    this.leaks = new LeakLog(memory);
    this.#memory = memory;
    this.#container = container;
    this.#options = options;
    this.#addressing = addressing;
    this.traits = {
      restrictedMemory: false,
      isolates: true,
      mappedPath: 'translated',
      identityVerified: undefined,
      addressMeaning: 'an I/O virtual address at which this process mapped its memory, in its container',
      pathOption: `platform.container: ${options.container}`,
      factOptions: { interruptsExposed: 'platform.interruptRemapping: false' },
      mappingSteps: MAPPING_STEPS[container.type],
      processOnly: true,
      interruptsExposed: !options.interruptRemapping,
    };
  }

  /** Bytes mapped for the device, as the memory-lock limit counts them. */
  get pinnedBytes(): number {
    return this.#iovas?.pinnedBytes ?? 0;
  }

  /** Bytes that stay unusable because the kernel did not unmap them. */
  get leakedBytes(): number {
    return this.leaks.bytes;
  }

  openMapping(_path: DmaPath, request: MappingRequest): DmaMapping {
    this.#iovas ??= this.#openIovaSpace();
    const mapping = new VfioDmaMapping(this.#memory, this.#iovas, request.capacity, {
      leaks: this.leaks,
      partialPages: this.#options.partialPages,
    });
    this.#mappings.push(mapping);
    return mapping;
  }

  /**
   * How many bytes beside its buffers the device could reach at once, at most, because it gets whole pages; and what
   * other devices of the process have mapped, or were refused.
   */
  get statistics(): PlatformStatistics {
    const beside = this.#mappings.reduce((most, { mostBeside }) => most + mostBeside, 0);
    const others = ('otherDevices' in this.#container && this.#container.otherDevices) || [];
    const refused = others.filter(({ errno }) => errno !== 0);
    return {
      ...(beside > 0 && { 'bytes beside buffers': { most: beside } }),
      ...(others.length > 0 && { 'bytes of other devices': numbersOf(others, ({ mappedBytes }) => mappedBytes) }),
      ...(refused.length > 0 && { 'refused to other devices, errno': numbersOf(refused, ({ errno }) => -errno) }),
    };
  }

  /**
   * Has the process call exec, and keeps what is mapped: devices go on. Throws {@link CodedError}, as `keepOverExec`
   * does.
   */
  exec(): void {
    keepOverExec(
      this.#container,
      this.#mappings.flatMap((mapping) => mapping.keptMappings()),
    );
  }

  get addressRanges(): readonly AddressRange[] {
    const windows = (this.#iovas?.ranges ?? []).map(({ start, size }) =>
      rangeOf('I/O virtual addresses', 'window', start, size),
    );
    this.#interrupts ??= this.#askForInterrupts();
    return [...windows, ...this.#interrupts];
  }

  dispose(): void {
    for (const mapping of this.#mappings) mapping.dispose();
    this.#mappings.length = 0;
    this.#iovas?.close();
    this.#iovas = undefined;
  }

  #askForInterrupts(): readonly AddressRange[] {
    const info = this.#container.info();
    const known = ('interruptRanges' in info && info.interruptRanges) || [];
    return known.map(({ start, end }) => rangeOf('interrupt range', 'interrupts', start, end + 1 - start));
  }

  /** Called for the first mapping, so that a device that negotiation refuses leaves the container unchanged. */
  #openIovaSpace(): IovaSpace {
    const { iovaStart, window } = this.#options;
    const { addressBits } = this.#addressing;
    const behind = addressBits >= 64 ? Infinity : addressEnd(this.#addressing);
    return openIovaSpace(this.#container, { iovaStart, behind, window, memorySize: this.#memory.size });
  }
}

function rangeOf(what: string, kind: AddressRange['kind'], start: number, length: number): AddressRange {
  return { what, kind, deviceAddress: BigInt(start), length };
}

function numbersOf(
  devices: readonly OtherDeviceState[],
  numberOf: (device: OtherDeviceState) => number,
): Readonly<Record<string, number>> {
  return Object.fromEntries(devices.map((device) => [device.name, numberOf(device)]));
}
