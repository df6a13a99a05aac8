import { VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE } from '@virtio-platform/core/queue';
import { DATA_BYTES, HEADER_BYTES, STATUS_BYTES, type DescriptorCount } from './ring-shape.ts';

/** One descriptor of a request as a driver writes it, but for what makes it available. */
export interface RequestSegment {
  /** Physical, below 2^32. */
  readonly address: number;
  readonly length: number;
  readonly flags: number;
}

/** The same request as `listRequest` lists, for a driver that writes the ring's words itself. */
export function requestSegments(buffer: number, descriptors: DescriptorCount): readonly RequestSegment[] {
  if (descriptors === 1) return [{ address: buffer, length: DATA_BYTES, flags: VIRTQ_DESC_F_WRITE }];
  return [
    { address: buffer, length: HEADER_BYTES, flags: VIRTQ_DESC_F_NEXT },
    { address: buffer + HEADER_BYTES, length: DATA_BYTES, flags: VIRTQ_DESC_F_NEXT },
    { address: buffer + HEADER_BYTES + DATA_BYTES, length: STATUS_BYTES, flags: VIRTQ_DESC_F_WRITE },
  ];
}
