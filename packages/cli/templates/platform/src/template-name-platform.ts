import type { MappingRequest, Platform } from '@virtio-platform/core';
import { DirectDmaMapping, type DmaMapping, type DmaPath } from '@virtio-platform/core/dma';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { TemplateNameOptions } from './options.ts';

/**
 * The driver's side: a board whose devices see memory at a fixed offset, behind a bridge that passes nothing else on.
 */
export class TemplateNamePlatform implements Platform {
  readonly name = 'template-name';
  readonly guestByteOrder = 'little';
  readonly traits: PlatformTraits;
  readonly rules: readonly NegotiationRule[];
  readonly #memory: GuestMemory;
  readonly #offset: bigint;

  constructor({ offset }: TemplateNameOptions, memory: GuestMemory) {
    this.#memory = memory;
    this.#offset = BigInt(offset);
    this.traits = {
      restrictedMemory: false,
      isolates: false,
      mappedPath: 'linear',
      identityVerified: false,
      addressMeaning: `the bridge shows memory to devices at 0x${offset.toString(16)}`,
    };
    this.rules = [
      {
        name: 'template-name-needs-access-platform',
        source:
          'virtio 1.4 section 6.1: without ACCESS_PLATFORM a driver passes physical addresses; the bridge blocks them',
        stage: 'access',
        apply(negotiation) {
          if (negotiation.accepted.has(VIRTIO_F_ACCESS_PLATFORM)) {
            negotiation.note(`addresses get 0x${offset.toString(16)} added`);
            return;
          }
          negotiation.refuse('ENODEV', 'behind this bridge a device must provide ACCESS_PLATFORM', {
            device: 'offer ACCESS_PLATFORM',
          });
        },
      },
    ];
  }

  openMapping(_path: DmaPath, { capacity }: MappingRequest): DmaMapping {
    return new DirectDmaMapping(this.#memory, { path: 'linear', capacity, offset: this.#offset });
  }

  dispose(): void {}
}
