import type { NegotiatedDevice } from '@virtio-platform/core';
import {
  VIRTIO_BALLOON_F_FREE_PAGE_HINT,
  VIRTIO_BALLOON_F_PAGE_REPORTING,
  VIRTIO_BALLOON_F_STATS_VQ,
} from './balloon-features.ts';
import { DEFLATE_QUEUE, FREE_PAGE_QUEUE, INFLATE_QUEUE, REPORTING_QUEUE, STATS_QUEUE } from './layout.ts';

/** The indices of the queues of a balloon; `undefined` where the feature of one was not accepted. */
export interface BalloonQueueIndices {
  readonly inflate: number;
  readonly deflate: number;
  readonly statistics: number | undefined;
  readonly hints: number | undefined;
  readonly reports: number | undefined;
}

/**
 * Finds the queues of a balloon. Section 5.5.2 gives each a number of its own, and devices disagree where a feature is
 * missing: QEMU numbers the queues that it has without a gap (free-page-reporting without free-page-hint is queue 3),
 * and always has that of the statistics; Linux counts those that were negotiated. So a queue has the number of the
 * specification, or where the device has fewer queues, the place counted from its last one. This is right on a device
 * that follows the specification, and on QEMU's whatever the driver accepts.
 */
export function balloonQueues({ accepted, transport }: NegotiatedDevice): BalloonQueueIndices {
  let last = REPORTING_QUEUE;
  while (last > DEFLATE_QUEUE && transport.maxQueueSize(last) === 0) last--;
  const place = (feature: number, index: number): number | undefined => {
    if (!accepted.has(feature)) return undefined;
    // Where the device has no queue left, opening this one says so.
    const found = last > DEFLATE_QUEUE ? Math.min(index, last) : index;
    last = found - 1;
    return found;
  };
  const reports = place(VIRTIO_BALLOON_F_PAGE_REPORTING, REPORTING_QUEUE);
  const hints = place(VIRTIO_BALLOON_F_FREE_PAGE_HINT, FREE_PAGE_QUEUE);
  const statistics = place(VIRTIO_BALLOON_F_STATS_VQ, STATS_QUEUE);
  return { inflate: INFLATE_QUEUE, deflate: DEFLATE_QUEUE, statistics, hints, reports };
}

/** The same as a list, in the order of {@link BalloonQueueIndices}. */
export function balloonQueueList(device: NegotiatedDevice): number[] {
  const { inflate, deflate, statistics, hints, reports } = balloonQueues(device);
  return [inflate, deflate, statistics, hints, reports].filter((index) => index !== undefined);
}
