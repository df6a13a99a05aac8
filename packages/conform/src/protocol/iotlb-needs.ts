import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { speaks, type ProtocolNeed } from './protocol-case.ts';
import { LOG_ALL } from './requests.ts';

/** The back-end takes a device IOTLB: ACCESS_PLATFORM, and a channel on which it asks. */
export const HAS_IOTLB: readonly ProtocolNeed[] = [
  ({ features }) =>
    features.has(VIRTIO_F_ACCESS_PLATFORM) ? undefined : 'the back-end does not offer ACCESS_PLATFORM: it has no IOTLB',
  speaks('BACKEND_REQ'),
  speaks('REPLY_ACK'),
];

/** The back-end keeps a dirty log: LOG_ALL, and a file for it. */
export const HAS_LOG: readonly ProtocolNeed[] = [
  ({ features }) => (features.has(LOG_ALL) ? undefined : 'the back-end does not offer LOG_ALL: it keeps no dirty log'),
  speaks('LOG_SHMFD'),
];
