import { defineDeviceType, type DeviceModel, type DeviceTypePlugin } from '@virtio-platform/core';
import block from '@virtio-platform/device-block';

const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** The shipped block device, which never returns from a request with two readable descriptors. */
const plugin: DeviceTypePlugin = defineDeviceType({
  ...block,
  model: (settings, byteOrder) => {
    const model: DeviceModel = block.model(settings, byteOrder);
    const process = model.process.bind(model);
    model.process = (queue, chain, space, queues) => {
      // As an endless loop, without the processor time of one.
      while (chain.readable === 2) Atomics.wait(NEVER, 0, 0);
      return process(queue, chain, space, queues);
    };
    return model;
  },
});

export default plugin;
