import { openSync } from 'node:fs';
import { describeTransport } from '@virtio-platform/conformance';
import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { TinyTransport } from '../src/tiny-transport.js';

const source = openSync('/dev/urandom');

describeTransport('the device of the tiny machine', {
  setup() {
    const space = PHYSICAL_ADDRESS_SPACE.open(
      new GuestMemory(new SharedArrayBuffer(2 ** 20)),
      new FaultLog(),
      undefined,
    );
    return { transport: new TinyTransport(space, TinyTransport.FEATURES, source), configBytes: 0 };
  },
});
