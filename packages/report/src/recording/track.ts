import type { EventTrack } from '@virtio-platform/trace';

/** The tracks of a timeline from top to bottom; those of the queues follow. */
export const TRACKS: readonly EventTrack[] = ['run', 'driver', 'mapping', 'device', 'iommu'];

/** What people read beside a track. */
export const TRACK_TITLES: Readonly<Record<EventTrack, string>> = {
  run: 'run',
  driver: 'driver',
  mapping: 'mapping',
  device: 'device',
  iommu: 'IOMMU',
};
