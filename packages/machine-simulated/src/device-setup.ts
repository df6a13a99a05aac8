import { DeviceError, type DeviceDescription, type SimulatedHardware } from '@virtio-platform/core';
import type { AddressSpaceBlueprint } from '@virtio-platform/core/address-space';
import {
  FeatureSet,
  ONE_INTERFACE_HINT,
  transitionalProblem,
  transportCarries,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_SUSPEND,
  VIRTIO_F_VERSION_1,
  VIRTIO_F_ANY_LAYOUT,
  type ExperimentalBits,
} from '@virtio-platform/core/features';
import type { Misbehavior } from '@virtio-platform/core/failure';
import type { DriverPrivilege } from '@virtio-platform/core/negotiation';
import { RING_FEATURES, type ByteOrder } from '@virtio-platform/core/queue';
import type { FaultConsequence } from './fault-consequence.ts';
import type { SimulatedOptions } from './options.ts';

/** Features that the simulated device implements, besides those of the device type. */
const DEVICE_FEATURES = RING_FEATURES.with(VIRTIO_F_SUSPEND);

/** Everything that makes a device, here or in a worker: plain data but for the blueprint's `open`. */
export interface DeviceSetup {
  /** The URL of the module of the device type. */
  readonly module: string;
  readonly settings: unknown;
  readonly interface: 'modern' | 'legacy';
  readonly byteOrder: ByteOrder;
  /** `undefined` offers what the device half and the ring implement. */
  readonly offers: bigint | undefined;
  readonly carries: bigint;
  readonly onFault: FaultConsequence;
  readonly rogue: SimulatedOptions['rogue'];
  readonly demands: bigint;
  readonly driverPrivilege: DriverPrivilege;
  readonly experimental: ExperimentalBits | undefined;
  /** Bits of an address that the device puts on the bus. */
  readonly addressBits: number;
  /** How the device misbehaves on purpose. */
  readonly misbehaves: Misbehavior | undefined;
}

/**
 * Derives the device from the profile's description, the platform's hardware and this machine's options. Throws
 * {@link DeviceError} `ERR_DEVICE_IMPOSSIBLE` for a device that cannot exist, as QEMU does when it is plugged.
 */
export function deviceSetup(
  description: DeviceDescription,
  hardware: SimulatedHardware,
  options: SimulatedOptions,
): DeviceSetup {
  const isLegacy = description.driverInterface === 'legacy';
  if (description.interface !== 'modern' && description.offers?.has(VIRTIO_F_ACCESS_PLATFORM) === true) {
    throw new DeviceError(
      'ERR_DEVICE_IMPOSSIBLE',
      `a ${description.interface} device cannot offer ACCESS_PLATFORM: bit 33 does not exist there`,
      {
        hint: 'set device.interface: modern, or leave ACCESS_PLATFORM out of device.offers',
      },
    );
  }
  const problem = description.interface === 'transitional' ? transitionalProblem(options.transport) : undefined;
  if (problem !== undefined) throw new DeviceError('ERR_DEVICE_IMPOSSIBLE', problem, { hint: ONE_INTERFACE_HINT });
  return {
    module: description.module,
    settings: description.settings,
    interface: description.driverInterface,
    byteOrder: isLegacy ? (hardware.guestByteOrder ?? 'little') : 'little',
    offers: description.offers?.bits,
    carries: transportCarries(isLegacy ? 'legacy' : options.transport).bits,
    onFault: options.onFault,
    rogue: options.rogue,
    demands: options.demands,
    driverPrivilege: description.driverPrivilege ?? 'kernel',
    experimental: description.experimental,
    addressBits: description.addressing?.addressBits ?? 64,
    misbehaves: description.misbehaves,
  };
}

/**
 * What the device offers on the interface in use: what the profile lists, or what the device half and the ring
 * implement and the transport has. Legacy and transitional devices cannot offer ACCESS_PLATFORM there at
 * all.
 */
export function offeredFeatures(setup: DeviceSetup, modelFeatures: FeatureSet): FeatureSet {
  const carries = new FeatureSet(setup.carries);
  const implemented = new FeatureSet(modelFeatures.bits | DEVICE_FEATURES.bits)
    .with(VIRTIO_F_ANY_LAYOUT)
    .with(VIRTIO_F_VERSION_1)
    .and(carries);
  const all = setup.offers === undefined ? implemented : new FeatureSet(setup.offers);
  return setup.interface === 'legacy' ? all.and(carries) : all.without(VIRTIO_F_ANY_LAYOUT);
}

/** Binds the address space by what the device offers, before any driver has said a word. */
export function boundAddressSpace(hardware: SimulatedHardware, offers: FeatureSet): AddressSpaceBlueprint {
  return hardware.addressSpace(offers.has(VIRTIO_F_ACCESS_PLATFORM));
}
