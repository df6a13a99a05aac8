import type { DeviceModel, DeviceQueues } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DescriptorChain } from '@virtio-platform/core/queue';
import { readChain, writeChain } from '@virtio-platform/device-kit';
import type { BrokenDevice, Bug } from './broken-device.ts';

/** A bug, and the cases that have to find it. */
export type FoundBug = readonly [bug: Bug, cases: readonly string[]];

/** A buffer as a device half that is broken on purpose handles it. */
export interface Handled {
  readonly queue: number;
  readonly chain: DescriptorChain;
  readonly device: BrokenDevice;
  /** What the device reads. */
  readonly readable: Uint8Array;
  /** Lengths of the descriptors. */
  readonly lengths: readonly number[];
  /** Lets the shipped device half handle it. */
  readonly handle: () => number;
  /** Writes to the writable part, and returns the used length. */
  readonly write: (at: number, bytes: readonly number[], used?: number) => number;
  /** Crashes, and lets the shipped device half handle it. */
  readonly crash: () => number;
}

/** A bug of a device half. */
export function handling(name: string, cases: readonly string[], handler: (handled: Handled) => number): FoundBug {
  const model = (inner: DeviceModel, device: BrokenDevice): Partial<DeviceModel> => ({
    process: (queue: number, chain: DescriptorChain, space: DeviceAddressSpace, queues: DeviceQueues) => {
      const readable = new Uint8Array(Math.min(chain.readableBytes, 0x1_0000));
      readChain(chain, space, 0, readable, 0, readable.length);
      const handle = (): number => inner.process(queue, chain, space, queues);
      return handler({
        queue,
        chain,
        device,
        readable,
        lengths: Array.from(chain.length.subarray(0, chain.count)),
        handle,
        write: (at, bytes, used = bytes.length) => {
          writeChain(chain, space, at, Uint8Array.from(bytes), 0, bytes.length);
          return used;
        },
        crash: () => {
          device.crash();
          return handle();
        },
      });
    },
  });
  return [{ name, model }, cases];
}

/** A bug that crashes at some buffers. */
export function crashingAt(name: string, cases: readonly string[], isSo: (handled: Handled) => boolean): FoundBug {
  return handling(`crashes at ${name}`, cases, (handled) => (isSo(handled) ? handled.crash() : handled.handle()));
}

/** A bug that returns some buffers without having done anything. */
export function ignoringBuffers(name: string, cases: readonly string[], isSo: (handled: Handled) => boolean): FoundBug {
  return handling(name, cases, (handled) => (isSo(handled) ? 0 : handled.handle()));
}
