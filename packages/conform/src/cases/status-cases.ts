import {
  bareCase,
  BOTH_LAYOUTS,
  type ConformCase,
  returnsNothing,
  startedCase,
  startedCases,
} from '@virtio-platform/core';
import { DeviceStatus, readDeviceStatus } from '@virtio-platform/core/device';

const { Acknowledge, Driver, FeaturesOk, DriverOk } = DeviceStatus;

/** The status field and the order of initialisation (specification 1.4 sections 2.1, 2.4 and 3.1). */
export const STATUS_CASES: readonly ConformCase[] = [
  bareCase({
    id: 'status/reset-reads-0',
    clause: '2.4.1',
    title: 'has a status of 0 after a reset, whatever it was before',
    run: async (bench) => {
      const { transport } = bench;
      for (const bits of [[], [Acknowledge], [Acknowledge, Driver]]) {
        await bench.reset();
        for (const bit of bits) transport.writeStatus(readDeviceStatus(transport) | bit);
        await bench.reset();
        bench.equal('the status after a reset', readDeviceStatus(transport), 0);
      }
      await bench.start();
      await bench.reset();
      bench.equal('the status after a reset', readDeviceStatus(transport), 0);
    },
  }),
  bareCase({
    id: 'status/bits-kept',
    clause: '2.1',
    title: 'has the bits that the driver set in the status, one after the other',
    run: async (bench) => {
      const { transport } = bench;
      await bench.reset();
      transport.writeStatus(Acknowledge);
      bench.equal('the status', readDeviceStatus(transport), Acknowledge);
      transport.writeStatus(Acknowledge | Driver);
      bench.equal('the status', readDeviceStatus(transport), Acknowledge | Driver);
      await bench.start();
      bench.equal('the status', readDeviceStatus(transport), Acknowledge | Driver | FeaturesOk | DriverOk);
    },
  }),
  ...startedCases({ clause: '2.1.2', layouts: BOTH_LAYOUTS, start: { isHeld: true } }, [
    {
      id: 'status/idle-before-driver-ok',
      title: 'takes no buffer and sends no notification before DRIVER_OK, and serves after it',
      run: async (bench, ring) => {
        bench.drain();
        const laid = bench.layOut(0);
        ring.add(laid.segments);
        ring.publish();
        await returnsNothing(bench, ring, 'it returned a buffer before DRIVER_OK');
        bench.check(!(await bench.notified(0)), 'it notified before DRIVER_OK');
        bench.go();
        ring.kick();
        await bench.takeBack(laid, ring);
      },
    },
    {
      id: 'status/kick-before-driver-ok',
      title: 'takes no buffer before DRIVER_OK, also where the driver kicks (V31)',
      isHostile: true,
      run: async (bench, ring) => {
        ring.give(bench.layOut(0).segments);
        await returnsNothing(bench, ring, 'it returned a buffer before DRIVER_OK');
      },
    },
  ]),
  startedCase({
    id: 'status/reset-twice',
    clause: '2.4.1',
    title: 'takes a second reset',
    run: async (bench) => {
      await bench.reset();
      await bench.reset();
      await bench.start();
      await bench.serve(bench.layOut(0));
    },
  }),
  startedCase({
    id: 'status/failed-then-reset',
    clause: '2.1.1',
    title: 'works again after the driver gave up on it (FAILED) and reset it',
    run: async (bench) => {
      await bench.serve(bench.layOut(0));
      bench.transport.writeStatus(readDeviceStatus(bench.transport) | DeviceStatus.Failed);
      await bench.start();
      await bench.serve(bench.layOut(1));
    },
  }),
  bareCase({
    id: 'status/driver-ok-without-features-ok',
    clause: '3.1.1',
    title: 'survives DRIVER_OK without FEATURES_OK',
    isHostile: true,
    run: async (bench) => {
      const { transport } = bench;
      await bench.reset();
      transport.writeStatus(Acknowledge | Driver);
      transport.writeStatus(Acknowledge | Driver | DriverOk);
      await bench.settle();
    },
  }),
  bareCase({
    id: 'status/many-starts',
    clause: '2.4',
    title: 'starts and serves 20 times, each after a reset',
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      for (let n = 0; n < 20; n++) {
        await bench.start();
        await bench.serve(bench.layOut(n));
      }
    },
  }),
];
