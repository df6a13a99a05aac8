import type { FeatureSet } from '@virtio-platform/core/features';

/** What a back-end offers, in the first messages of a connection. */
export interface ProtocolOffer {
  /** With those of vhost-user itself. */
  readonly features: FeatureSet;
  /** The bits of its protocol features. */
  readonly protocol: FeatureSet;
  /** Queues: its answer to GET_QUEUE_NUM, or as many as the cases of the device type use. */
  readonly queues: number;
}
