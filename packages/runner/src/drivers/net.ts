import { NET_DRIVER_FEATURES, NetDriver, netQueues, readNetConfig } from '@virtio-platform/devices';
import type { DriverContext, DriverHalf, DriverType } from '../driver-half.ts';
import { Echo, echoOptions } from '../workload/echo.ts';
/** Drives a network device: an echo over all of its queue pairs. */
export const NET_TYPE: DriverType = {
  features: NET_DRIVER_FEATURES,
  legacyUsedLength: 'clamp',
  queues: (transport, accepted, byteOrder) => netQueues(readNetConfig(transport, accepted, byteOrder)),
  open: openNet,
};

function openNet(context: DriverContext): DriverHalf {
  const { memory, accepted, queues } = context;
  const driver = new NetDriver(memory, queues, {
    accepted,
    ...echoOptions(context),
  });
  return new Echo(context, driver);
}
