import type { VhostUserControl } from '@virtio-platform/core';
import { writeChain } from '@virtio-platform/device-kit';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { FeatureSet } from '@virtio-platform/core/features';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import { VIRTIO_NET_ERR, VIRTIO_NET_OK } from '../layout.ts';
import { ControlExecutor } from './control-executor.ts';
import { FrameFilter } from './frame-filter.ts';

const refuses = (): boolean => false;

/** The control queue of a front-end whose back-end has the packets: it knows the number of pairs alone. */
export class FrontEndControl implements VhostUserControl {
  readonly #executor: ControlExecutor;
  readonly #answer: Uint8Array = new Uint8Array(1);

  /** `pairs`: how many there are. */
  constructor(pairs: number) {
    this.#executor = new ControlExecutor(
      {
        // Commands of the filter need features that this front-end does not offer.
        filter: new FrameFilter(),
        setAddress: () => {},
        acknowledgeAnnouncement: refuses,
        setPairs: (wanted) => wanted >= 1 && wanted <= pairs,
        configureScaling: refuses,
        configureHash: refuses,
        setGuestOffloads: refuses,
      },
      true,
    );
  }

  process(chain: DescriptorChain, space: DeviceAddressSpace, accepted: FeatureSet): number {
    if (chain.writableBytes === 0) return 0;
    this.#answer[0] = this.#executor.execute(chain, space, accepted) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
    return writeChain(chain, space, 0, this.#answer, 0, 1) ? 1 : 0;
  }
}
