import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DescriptorChain, SplitDeviceQueue, type QueueAddresses } from '@virtio-platform/core/queue';

/** A device that writes back what it read, over the address space it is given. */
export class EchoDevice {
  readonly queue: SplitDeviceQueue;
  readonly #space: DeviceAddressSpace;
  readonly #chain: DescriptorChain;

  constructor(space: DeviceAddressSpace, addresses: QueueAddresses) {
    this.#space = space;
    this.#chain = new DescriptorChain(addresses.size);
    this.queue = new SplitDeviceQueue(space, { addresses, eventIdx: false, indirect: true, byteOrder: 'little' });
  }

  /** Serves what is available and returns how many buffers it was. Writes at most `most` bytes into each. */
  serve(most: number = Infinity): number {
    const chain = this.#chain;
    let served = 0;
    for (; this.queue.pop(chain); served++) {
      const data = new Uint8Array(chain.readableBytes);
      for (let i = 0, at = 0; i < chain.readable; at += chain.length[i++]!) {
        this.#space.read(chain.low[i]!, chain.high[i]!, data, at, chain.length[i]!);
      }
      const total = Math.min(data.length, chain.writableBytes, most);
      for (let i = chain.readable, at = 0; at < total; i++) {
        const part = Math.min(chain.length[i]!, total - at);
        this.#space.write(chain.low[i]!, chain.high[i]!, data, at, part);
        at += part;
      }
      this.queue.push(chain.head, total);
    }
    this.queue.flush();
    return served;
  }
}
