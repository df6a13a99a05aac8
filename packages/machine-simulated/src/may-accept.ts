import type { DeviceTypePlugin } from '@virtio-platform/core';
import type { DeviceInterface } from '@virtio-platform/core/device';
import {
  isContradictory,
  unmetDependency,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
  type ExperimentalBits,
  type FeatureSet,
} from '@virtio-platform/core/features';
import type { DriverPrivilege } from '@virtio-platform/core/negotiation';

/** What a device looks at before it goes on with a driver's features. */
export interface AcceptanceTerms {
  readonly type: Pick<DeviceTypePlugin, 'features'>;
  /** The interface the driver uses. */
  readonly interface: DeviceInterface;
  readonly offers: FeatureSet;
  /** Bits without which it does not work. */
  readonly demands: bigint;
  /** Who its host handed it to. */
  readonly driverPrivilege: DriverPrivilege;
  /** The numbers of the two features of 2019, where it knows them. */
  readonly experimental: ExperimentalBits | undefined;
  /** Looks whether the device reaches all of memory at its physical addresses. */
  readonly isOneToOne: () => boolean;
}

/** Whether a device that is offered so goes on with the features that the driver accepts (section 2.2.2). */
export function mayAccept(accepted: FeatureSet, options: AcceptanceTerms): boolean {
  const { offers, demands, experimental } = options;
  if (accepted.minus(offers).bits !== 0n || (demands & ~accepted.bits) !== 0n) return false;
  if (unmetDependency(accepted, options.type.features, experimental) !== undefined) return false;
  if (experimental !== undefined && !mayAcceptExperimental(accepted, experimental, options)) return false;
  if (options.interface === 'legacy') return true;
  if (offers.has(VIRTIO_F_ACCESS_PLATFORM) && !accepted.has(VIRTIO_F_ACCESS_PLATFORM)) return false;
  return accepted.has(VIRTIO_F_VERSION_1);
}

/**
 * The device's own half of the two features of 2019. It trusts no promise of a driver: an unprivileged one gets
 * neither, and identity is looked at.
 */
function mayAcceptExperimental(
  accepted: FeatureSet,
  bits: ExperimentalBits,
  { driverPrivilege, isOneToOne }: AcceptanceTerms,
): boolean {
  const isIdentity = accepted.has(bits.identityAddress);
  if (!isIdentity && !accepted.has(bits.noTranslation)) return true;
  if (isContradictory(accepted, bits) || driverPrivilege !== 'kernel') return false;
  return !isIdentity || isOneToOne();
}
