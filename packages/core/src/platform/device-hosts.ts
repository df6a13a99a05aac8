import type { DeviceAddressSpace } from '../address-space/device-address-space.ts';
import type { FeatureSet } from '../features/feature-set.ts';
import type { DescriptorChain } from '../queue/device/descriptor-chain.ts';

/** Files and descriptors of this process that a device of QEMU uses while QEMU runs. They are made at boot. */
export interface QemuResources {
  /** The path of the image of a disk of `capacity` bytes. It makes an empty image where the profile has no `path`. */
  readonly image: (path: string | undefined, capacity: number) => string;
  /** The number, in QEMU, of a descriptor that returns what is written to it. */
  readonly loopback: (kind: 'packets' | 'stream') => number;
  /** The id of the `-chardev` of the vhost-user back-end that the device is to work with; `undefined` without one. */
  readonly backEnd?: string | undefined;
}

/** QEMU's arguments for one device. */
export interface QemuArguments {
  /** The PCI function: its `-device` as an object, without address and properties that every virtio device has. */
  readonly device: { readonly driver: string; readonly [property: string]: unknown };
  /** Arguments that stand before it, such as `-blockdev`. */
  readonly before?: readonly string[];
  /** Arguments that stand behind it. */
  readonly after?: readonly string[];
}

/** How QEMU is told to make a device of a type. */
export interface QemuDevice<Settings> {
  /** Throws `ERR_MACHINE_DEVICE` for settings that QEMU's device does not have. */
  arguments(settings: Settings, resources: QemuResources): QemuArguments;
}

/** The last queue of a device where the front-end serves it: the control queue of a network device. */
export interface VhostUserControl {
  /** Handles one buffer, and returns how many bytes it wrote in front. */
  process(chain: DescriptorChain, space: DeviceAddressSpace, accepted: FeatureSet): number;
}

/** What the front-end itself has of a device whose back-end has only the queues (vhost-user: net). */
export interface VhostUserFrontEnd {
  /** Added to what the back-end offers, and never told it. */
  readonly adds: FeatureSet;
  /** Features that a back-end may offer and the front-end does not have. */
  readonly hides: FeatureSet;
  /**
   * Features of `adds` or `hides` with which a device half works as a back-end, though their commands are the
   * front-end's: whether a front-end accepts them or never tells it. None unless given.
   */
  readonly assumes?: FeatureSet | undefined;
  /** Queues in all. */
  readonly queueCount: number;
  /** The configuration space. */
  readonly config: Uint8Array;
  /** Serves the last of the queues, which the back-end then does not have; `undefined` where the back-end has all. */
  readonly control?: VhostUserControl | undefined;
}

/** What is particular about back-ends of a type in the vhost-user protocol. */
export interface VhostUserDevice<Settings> {
  /** The queues of a back-end that does not say how many it has: those of a device with the least features. */
  readonly queues: number;
  /** The queues that GET_QUEUE_NUM counts as one: for a network device, as QEMU and DPDK do, a pair (section 5.1.2). */
  readonly counted: number;
  /**
   * The configuration, which the back-end has with the protocol feature CONFIG: every back-end has to, only one that
   * offers features with fields, or none has.
   */
  readonly config: 'required' | 'of-features' | 'none';
  /** Whether each buffer comes back soon, whatever happens: then a reset waits for those in flight. */
  readonly drains: boolean;
  /** `queues`: how many queues the back-end has. */
  frontEnd?(settings: Settings, queues: number): VhostUserFrontEnd;
}
