import { caseGroup, type CaseGroup, type ConformCase, type ConformRing } from '@virtio-platform/core';
import { VIRTIO_F_RING_PACKED } from '@virtio-platform/core/features';
import type { QueueLayout } from '@virtio-platform/core/queue';
import { PROTOCOL_FEATURES, type ProtocolFeature } from './requests.ts';
import type { ProtocolBench, StartOptions } from './protocol-bench.ts';
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

/** A case of the protocol, of which the level is MUST unless it says otherwise. */
export interface ProtocolTemplate extends Omit<ProtocolCase, 'level'> {
  readonly level?: ConformCase['level'];
}

/** A case on a back-end whose queues were started, and the ring of its first queue. */
export interface StartedProtocolCase extends Omit<ProtocolTemplate, 'run'> {
  /** Default: as `bench.start` does without options. */
  readonly start?: StartOptions;
  readonly run: (bench: ProtocolBench, ring: ConformRing) => void | Promise<void>;
}

/** Makes a case that begins with a new connection. */
export function protocolCase(template: ProtocolTemplate): ProtocolCase {
  return { level: 'MUST', ...template };
}

/** Makes a case that starts the queues first. */
export function startedProtocolCase({ start, run, ...rest }: StartedProtocolCase): ProtocolCase {
  return protocolCase({ ...rest, run: (bench) => run(bench, bench.start(start)) });
}

/** Cases that begin with a new connection, with what they share. */
export const protocolCases: CaseGroup<ProtocolTemplate, ProtocolCase> = caseGroup(protocolCase);
/** Cases that start the queues first, with what they share. */
export const startedProtocolCases: CaseGroup<StartedProtocolCase, ProtocolCase> = caseGroup(startedProtocolCase);

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
