import assert from 'node:assert/strict';
import { isCodedError } from '@virtio-platform/core';
import { DeviceStatus, resetDevice, type Transport } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describeContract, skipCheck, type ContractCheck } from '../contract-check.ts';

/** A transport to try, fresh for each check, with a device behind it. */
export interface TransportSubject {
  readonly transport: Transport;
  /** Bytes of device configuration. */
  readonly configBytes: number;
  /**
   * Whether the device passes over features that it did not offer, instead of clearing FEATURES_OK as it must: QEMU's
   * do.
   */
  readonly ignoresUnoffered?: boolean | undefined;
}

const RESET_TIMEOUT_MS = 1000;

/** The promises of `Transport` and of the device behind it, one by one. */
export const TRANSPORT_CHECKS: readonly ContractCheck<TransportSubject>[] = [
  {
    name: 'confirms a reset by status 0',
    duty: 'Transport.writeStatus: 0 resets the device; virtio 1.4 §2.4.2',
    advice: 'let readStatus return 0 once the device is reset, in bounded time',
    run({ transport }) {
      transport.writeStatus(DeviceStatus.Acknowledge);
      resetDevice(transport, RESET_TIMEOUT_MS);
      assert.equal(transport.readStatus(), 0);
    },
  },
  {
    name: 'keeps the status bits that the driver sets',
    duty: 'virtio 1.4 §2.1.1: status bits stay until a reset',
    advice: 'store the status that the driver writes, FAILED included',
    run({ transport }) {
      resetDevice(transport, RESET_TIMEOUT_MS);
      for (const status of [DeviceStatus.Acknowledge, DeviceStatus.Acknowledge | DeviceStatus.Driver]) {
        transport.writeStatus(status);
        assert.equal(transport.readStatus(), status);
      }
      transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.Failed);
      assert.notEqual(transport.readStatus() & DeviceStatus.Failed, 0);
    },
  },
  {
    name: 'offers only features that it can carry, the same ones after a reset',
    duty: 'Transport.carries: feature bits this transport can carry',
    advice: 'mask the offer with `carries`, and read it from the device each time',
    run({ transport }) {
      const offered = transport.readDeviceFeatures();
      assert.deepEqual([...offered.minus(transport.carries)], []);
      if (transport.interface === 'modern')
        assert.ok(offered.has(VIRTIO_F_VERSION_1), 'a modern device offers VERSION_1');
      resetDevice(transport, RESET_TIMEOUT_MS);
      assert.ok(transport.readDeviceFeatures().equals(offered));
    },
  },
  {
    name: 'keeps FEATURES_OK for all that the device offers',
    duty: 'virtio 1.4 §2.2.2: a device accepts any valid subset of the features it offered',
    advice: "check the driver's features against the offer only",
    run({ transport }) {
      if (transport.interface === 'legacy') skipCheck('the legacy interface has no FEATURES_OK');
      assert.notEqual(setFeatures(transport, transport.readDeviceFeatures()) & DeviceStatus.FeaturesOk, 0);
    },
  },
  {
    name: 'clears FEATURES_OK for a feature that the device did not offer',
    duty: 'virtio 1.4 §2.2.2: the device must not accept features that it did not offer',
    advice: "clear FEATURES_OK where the driver's features are no subset of the offer",
    run({ transport, ignoresUnoffered }) {
      if (transport.interface === 'legacy') skipCheck('the legacy interface has no FEATURES_OK');
      if (ignoresUnoffered === true) skipCheck('the subject says that this device passes over such features');
      const offered = transport.readDeviceFeatures();
      for (let bit = 0; bit < 64; bit++) {
        if (offered.has(bit)) continue;
        const status = setFeatures(transport, FeatureSet.of(bit, VIRTIO_F_VERSION_1));
        assert.equal(status & DeviceStatus.FeaturesOk, 0, `bit ${bit}`);
        return;
      }
    },
  },
  {
    name: 'answers a configuration read at and beyond its end within bounds',
    duty: 'Transport.readConfig: reads from byte `offset` on',
    advice: 'throw RangeError or ERR_DEVICE_CONFIG beyond the end, or fill with zeros',
    run({ transport, configBytes }) {
      const within = new Uint8Array(configBytes);
      transport.readConfig(0, within);
      for (const [offset, length] of [
        [configBytes - 1, 9],
        [configBytes, 4],
        [configBytes + 1024, 4],
      ] as const) {
        const target = new Uint8Array(length + 2).fill(0xcc);
        try {
          transport.readConfig(offset, target.subarray(1, length + 1));
        } catch (error) {
          const isRefusal = error instanceof RangeError || (isCodedError(error) && error.code === 'ERR_DEVICE_CONFIG');
          assert.ok(isRefusal, `a refusal is a RangeError or ERR_DEVICE_CONFIG, not ${String(error)}`);
        }
        assert.deepEqual([target[0], target.at(-1)], [0xcc, 0xcc], 'nothing around the target');
      }
      const again = new Uint8Array(configBytes);
      transport.readConfig(0, again);
      assert.deepEqual(again, within);
    },
  },
  {
    name: 'keeps its configuration generation while nothing changes',
    duty: 'Transport.configGeneration: changes whenever the configuration changed',
    advice: 'count changes of the configuration, not reads',
    run({ transport }) {
      const generation = transport.configGeneration();
      transport.readConfig(0, new Uint8Array(1));
      assert.equal(transport.configGeneration(), generation);
    },
  },
  {
    name: 'names a possible size for each queue and 0 for one that is not there',
    duty: 'Transport.maxQueueSize: entries, 0 where there is no such queue',
    advice: 'return a power of two from 1 to 32768, and 0 from queueCount on',
    run({ transport }) {
      assert.ok(transport.queueCount >= 1);
      for (let queue = 0; queue < transport.queueCount; queue++) {
        const size = transport.maxQueueSize(queue);
        assert.ok(Number.isInteger(size) && size >= 1 && size <= 32768, `queue ${queue}: ${size}`);
        assert.equal(size & (size - 1), 0, `queue ${queue}: ${size} is a power of two`);
      }
      assert.equal(transport.maxQueueSize(transport.queueCount), 0);
    },
  },
  {
    name: 'has no queue enabled after a reset, and none that is not there',
    duty: 'Transport.isQueueReset: neither enabled nor still being reset; virtio 1.4 §2.4.1',
    advice: 'disable every queue with the reset',
    run({ transport }) {
      resetDevice(transport, RESET_TIMEOUT_MS);
      for (let queue = 0; queue <= transport.queueCount; queue++)
        assert.ok(transport.isQueueReset(queue), `queue ${queue}`);
    },
  },
  {
    name: 'resets no queue unless RING_RESET was negotiated',
    duty: 'Transport.resetQueue: throws TypeError where RING_RESET was not negotiated',
    advice: 'remember the features of writeDriverFeatures',
    run({ transport }) {
      resetDevice(transport, RESET_TIMEOUT_MS);
      assert.throws(() => transport.resetQueue(0), TypeError);
    },
  },
  {
    name: 'ends a wait in time when nothing happens',
    duty: "Transport.wait: returns 'timeout' when time ran out; every wait is bounded",
    advice: "wait with a deadline, and report 'notified' once for each notification",
    run({ transport }) {
      resetDevice(transport, RESET_TIMEOUT_MS);
      while (transport.wait(0) === 'notified');
      const start = performance.now();
      assert.equal(transport.wait(20), 'timeout');
      assert.ok(performance.now() - start < RESET_TIMEOUT_MS);
    },
  },
];

/** Tries a transport against the whole contract; `setup` makes a fresh one for each check, which disposes it. */
export function describeTransport(
  name: string,
  subject: { setup(): TransportSubject | Promise<TransportSubject> },
): void {
  describeContract(`${name} as a Transport`, TRANSPORT_CHECKS, async (check) => {
    const tried = await subject.setup();
    try {
      await check.run(tried);
    } finally {
      tried.transport.dispose();
    }
  });
}

/** Goes through the steps up to FEATURES_OK and returns the status read back. */
function setFeatures(transport: Transport, features: FeatureSet): number {
  resetDevice(transport, RESET_TIMEOUT_MS);
  const started = DeviceStatus.Acknowledge | DeviceStatus.Driver;
  transport.writeStatus(DeviceStatus.Acknowledge);
  transport.writeStatus(started);
  transport.writeDriverFeatures(features);
  transport.writeStatus(started | DeviceStatus.FeaturesOk);
  return transport.readStatus();
}
