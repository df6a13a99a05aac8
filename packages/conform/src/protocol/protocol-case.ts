import type { ConformCase } from '@virtio-platform/core';
import { VIRTIO_F_RING_PACKED } from '@virtio-platform/core/features';
import type { QueueLayout } from '@virtio-platform/core/queue';
import { PROTOCOL_FEATURES, type ProtocolFeature } from './requests.ts';
import type { ProtocolBench } from './protocol-bench.ts';
import type { ProtocolOffer } from './protocol-offer.ts';

/** Returns why a case does not apply to a back-end, or `undefined` where it does. */
export type ProtocolNeed = (offer: ProtocolOffer) => string | undefined;

/**
 * A case of the vhost-user protocol: as those of the device, and its bench is a front-end whose every message is
 * written by hand. Its clause is a heading of the vhost-user document: `vhost-user: SET_VRING_BASE`.
 */
export interface ProtocolCase extends Pick<ConformCase, 'id' | 'clause' | 'level' | 'title' | 'layouts' | 'isHostile'> {
  readonly needs?: readonly ProtocolNeed[];
  readonly run: (bench: ProtocolBench) => void | Promise<void>;
}

/** The back-end offers a protocol feature. */
export function speaks(name: ProtocolFeature): ProtocolNeed {
  return ({ protocol }) =>
    protocol.has(PROTOCOL_FEATURES[name]) ? undefined : `the back-end does not offer the protocol feature ${name}`;
}

/** Why a case does not apply to a back-end. */
export function inapplicableProtocol(
  { needs = [] }: ProtocolCase,
  layout: QueueLayout,
  offer: ProtocolOffer,
): string | undefined {
  if (layout === 'packed' && !offer.features.has(VIRTIO_F_RING_PACKED)) return 'the device offers no packed rings';
  for (const need of needs) {
    const why = need(offer);
    if (why !== undefined) return why;
  }
  return undefined;
}
