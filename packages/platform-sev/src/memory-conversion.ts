import type { FacilityToken } from '@virtio-platform/core';
import type { MemoryConversion } from '@virtio-platform/core/memory';

export type { MemoryConversion };

/** Converts pages between encrypted with the guest's key and plain. A machine provides a {@link MemoryConversion}. */
export const MEMORY_CONVERSION: FacilityToken = Symbol.for('@virtio-platform/platform-sev:MemoryConversion');
