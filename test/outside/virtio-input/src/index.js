import { defineDeviceType, defineWorkload, PLUGIN_API_VERSION } from '@virtio-platform/core';
import { FeatureSet } from '@virtio-platform/core/features';
import { z } from 'zod';
import { InputDriver } from './input-driver.js';
import { Keyboard } from './keyboard.js';
import { EVENT_BYTES, EVENT_QUEUE, INPUT_CONFIG, STATUS_QUEUE } from './layout.js';
import { ReadEvents } from './read-events.js';

export { Keyboard } from './keyboard.js';
export { InputDriver } from './input-driver.js';
export { ReadEvents } from './read-events.js';

const settings = z.strictObject({
  name: z.string().min(1).max(100).default('Virtio keyboard').describe('The name that the device gives.'),
  text: z
    .string()
    .regex(/^[a-z ]+$/, 'must be lower-case letters and spaces')
    .default('the quick brown fox')
    .describe('What is typed, again and again.'),
  interval: z.int().min(0).max(1000).default(0).describe('Milliseconds between two keys.'),
});

export default defineDeviceType({
  kind: 'device',
  name: 'input',
  apiVersion: PLUGIN_API_VERSION,
  id: 18,
  features: { source: 'virtio 1.4 §5.8.3', rows: [] },
  options: settings,
  config: INPUT_CONFIG,
  driver: {
    features: FeatureSet.EMPTY,
    queues: () => [EVENT_QUEUE, STATUS_QUEUE],
    open: (context) => new InputDriver(context),
  },
  workloads: {
    'read-events': defineWorkload({
      summary: 'read key events and compare them with the text of the profile',
      options: z.strictObject({}),
      bytes: () => EVENT_BYTES,
      recovers: true,
      open: (driver, context) => new ReadEvents(driver, context),
    }),
  },
  model: (given, byteOrder) => new Keyboard(given, byteOrder),
});
