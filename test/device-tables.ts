import type { FeatureTable } from '@virtio-platform/core/features';
import { NO_DEVICE_FEATURES } from '@virtio-platform/core/features';
import { BALLOON_FEATURES } from '@virtio-platform/device-balloon';
import { BLOCK_FEATURES } from '@virtio-platform/device-block';
import { CONSOLE_FEATURES } from '@virtio-platform/device-console';
import { NET_FEATURES } from '@virtio-platform/device-net';
import { SCSI_FEATURES } from '@virtio-platform/device-scsi';

const TABLES: Readonly<Record<string, FeatureTable>> = {
  balloon: BALLOON_FEATURES,
  block: BLOCK_FEATURES,
  console: CONSOLE_FEATURES,
  net: NET_FEATURES,
  scsi: SCSI_FEATURES,
};

/** The feature rows of a type by the name that captures of a guest have; none for a type that has none here. */
export function deviceTable(type: string): FeatureTable {
  return TABLES[type] ?? NO_DEVICE_FEATURES;
}
