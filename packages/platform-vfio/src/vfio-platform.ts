import {
  GUEST_MEMORY,
  inject,
  type ByteOrder,
  type DmaMapping,
  type DmaPath,
  type GuestMemory,
  type MappingRequest,
  type NegotiationRule,
  type Platform,
  type PlatformTraits,
} from '@virtio-platform/core';
import { injectable, type InjectionToken } from 'tsyringe';
import { IovaSpace } from './iova-space.ts';
import type { VfioOptions } from './options.ts';
import { VFIO_CONTAINER, type VfioContainer } from './vfio-container.ts';
import { VfioDmaMapping } from './vfio-dma-mapping.ts';
import { VFIO_RULES } from './vfio-rules.ts';

export const VFIO_OPTIONS: InjectionToken<VfioOptions> = Symbol.for('@virtio-platform/platform-vfio:Options');

/**
 * An unprivileged process with a device of its own: what it pins and maps in its container is what the device reaches, and
 * nothing else. A device address is an I/O virtual address that the process chose.
 */
@injectable()
export class VfioPlatform implements Platform {
  readonly name = 'vfio';
  readonly rules: readonly NegotiationRule[] = VFIO_RULES;
  readonly guestByteOrder: ByteOrder = 'little';
  readonly traits: PlatformTraits;
  readonly #memory: GuestMemory;
  readonly #container: VfioContainer;
  readonly #iovaStart: number;
  readonly #mappings: DmaMapping[] = [];
  #iovas: IovaSpace | undefined;

  constructor(
    @inject(VFIO_OPTIONS) options: VfioOptions,
    @inject(GUEST_MEMORY) memory: GuestMemory,
    @inject<VfioContainer>(VFIO_CONTAINER) container: VfioContainer,
  ) {
    this.#memory = memory;
    this.#container = container;
    this.#iovaStart = options.iovaStart ?? 0;
    this.traits = {
      restrictedMemory: false,
      isolates: true,
      mappedPath: 'translated',
      identityVerified: undefined,
      addressMeaning: 'an I/O virtual address that this process chose and mapped in its container',
      interruptsExposed: !options.interruptRemapping,
    };
  }

  /** Bytes mapped for the device, as the memory-lock limit counts them. */
  get pinnedBytes(): number {
    return this.#iovas?.pinnedBytes ?? 0;
  }

  /** Bytes given up because the kernel did not unmap them. */
  get leakedBytes(): number {
    return this.#iovas?.leakedBytes ?? 0;
  }

  openMapping(_path: DmaPath, request: MappingRequest): DmaMapping {
    this.#iovas ??= new IovaSpace(this.#container, this.#iovaStart);
    const mapping = new VfioDmaMapping(this.#memory, this.#iovas, request.capacity);
    this.#mappings.push(mapping);
    return mapping;
  }

  dispose(): void {
    for (const mapping of this.#mappings) mapping.dispose();
  }
}
