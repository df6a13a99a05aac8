import { defineDeviceType, defineWorkload, PLUGIN_API_VERSION, type DeviceTypePlugin } from '@virtio-platform/core';
import { FeatureSet } from '@virtio-platform/core/features';
import { z } from 'zod';
import {
  TEMPLATE_NAME_CONFIG,
  TEMPLATE_NAME_F_STEP,
  TEMPLATE_NAME_FEATURES,
  TICK_BYTES,
  TICK_QUEUE,
} from './layout.ts';
import { ReadTicks } from './read-ticks.ts';
import { settingsSchema, type TemplateNameSettings } from './settings.ts';
import { TemplateNameDevice } from './template-name-device.ts';
import { TemplateNameDriver } from './template-name-driver.ts';

export { ReadTicks } from './read-ticks.ts';
export { settingsSchema, type TemplateNameSettings } from './settings.ts';
export { TemplateNameDevice } from './template-name-device.ts';
export { TemplateNameDriver } from './template-name-driver.ts';

const plugin: DeviceTypePlugin<TemplateNameSettings, TemplateNameDriver> = defineDeviceType({
  kind: 'device',
  name: 'template-name',
  apiVersion: PLUGIN_API_VERSION,
  // A number that the specification gives to no device (virtio 1.4 section 5).
  id: 63,
  features: TEMPLATE_NAME_FEATURES,
  options: settingsSchema,
  config: TEMPLATE_NAME_CONFIG,
  driver: {
    features: FeatureSet.of(TEMPLATE_NAME_F_STEP),
    queues: () => [TICK_QUEUE],
    open: (context) => new TemplateNameDriver(context),
  },
  workloads: {
    'read-ticks': defineWorkload({
      summary: 'read ticks, and compare the counter of each with that of the one before',
      options: z.strictObject({}),
      bytes: () => TICK_BYTES,
      recovers: true,
      open: (driver: TemplateNameDriver, context) => new ReadTicks(driver, context),
    }),
  },
  model: (settings, byteOrder) => new TemplateNameDevice(settings, byteOrder),
});

export default plugin;
