import { setTimeout } from 'node:timers/promises';
import type { WorkDone } from '@virtio-platform/core';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { DeviceLoop, NOTHING_LEFT, RegisterTransport } from '@virtio-platform/conformance/testing';
import { describe, expect, it } from 'vitest';
import { TEMPLATE_NAME_CONFIG, TEMPLATE_NAME_F_STEP } from '../src/layout.ts';
import { ReadTicks, TemplateNameDevice, TemplateNameDriver, type TemplateNameSettings } from '../src/index.ts';

const PLAIN = FeatureSet.of(VIRTIO_F_VERSION_1);
const STEPS = PLAIN.with(TEMPLATE_NAME_F_STEP);
const REQUESTS = 20;

/** Both halves of a device, over real rings. */
function open(settings: TemplateNameSettings, accepted: FeatureSet, configure: (config: DataView) => void = () => {}) {
  const device = new TemplateNameDevice(settings, 'little');
  const rings = new DeviceLoop(device, accepted);
  device.connect({ queueChanged: () => rings.serve(), configChanged() {} });
  const transport = new RegisterTransport({ offered: accepted, configBytes: device.config.length });
  transport.config.set(device.config);
  configure(new DataView(transport.config.buffer));
  const context = {
    transport,
    accepted,
    byteOrder: 'little',
    memory: rings.memory,
    queues: rings.queues(0),
    buffers: 'premapped',
    depth: 4,
    bytes: 8,
    notify() {},
  } as const;
  return { rings, context };
}

/** Runs the workload. The device says `configured` of its step. */
async function readTicks(
  settings: TemplateNameSettings,
  accepted: FeatureSet,
  configured: number = settings.step,
): Promise<WorkDone> {
  const { rings, context } = open(settings, accepted, (config) =>
    config.setUint32(TEMPLATE_NAME_CONFIG.step.offset, configured, true),
  );
  const driver = new TemplateNameDriver(context);
  const loop = {
    async turn() {
      await setTimeout(1);
    },
    failedToAdd(reason: number) {
      throw new Error(`no buffer could be added: ${reason}`);
    },
    disrupt() {},
  };
  const own = { settings, options: {}, kind: 'read-ticks', requests: REQUESTS, seed: 1, mostReturned: 0 };
  const workload = new ReadTicks(driver, { ...context, ...own, loop, inspected: rings.memory });
  await workload.run();
  expect(rings.end(driver)).toEqual(NOTHING_LEFT);
  return workload.done;
}

describe('the ticks of template-name', () => {
  it.each([
    ['by one', PLAIN],
    ['by a step of its own, with the feature for it', STEPS],
  ])('count %s', async (_how, accepted) => {
    const done = await readTicks({ interval: 1, step: 3 }, accepted);
    expect(done).toMatchObject({ requests: REQUESTS, bytes: 8 * REQUESTS, mismatches: { counts: {} } });
  });

  it('that are not what the device says are noticed', async () => {
    const { mismatches } = await readTicks({ interval: 1, step: 3 }, STEPS, 2);
    expect(mismatches.counts).toEqual({ data: REQUESTS });
    expect(mismatches.first[0]?.detail).toBe('the counter is 3 after 0, in steps of 2');
  });

  it('need a device that says what can be', () => {
    for (const field of [TEMPLATE_NAME_CONFIG.interval, TEMPLATE_NAME_CONFIG.step]) {
      const { rings, context } = open({ interval: 1, step: 2 }, STEPS, (config) => config.setUint32(field.offset, 0));
      expect(() => new TemplateNameDriver(context)).toThrow('a step or an interval of 0');
      rings.end();
    }
  });
});
