import {
  definePlatformPlugin,
  GUEST_MEMORY,
  PLATFORM,
  PLUGIN_API_VERSION,
  type PlatformPlugin,
} from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { BRIDGE_MODULE, openAddressSpace } from './bridge-translation.ts';
import { optionsSchema, type TemplateNameOptions } from './options.ts';
import { TemplateNamePlatform } from './template-name-platform.ts';

export { openAddressSpace } from './bridge-translation.ts';
export { optionsSchema, type TemplateNameOptions } from './options.ts';
export { TemplateNamePlatform } from './template-name-platform.ts';

const plugin: PlatformPlugin<TemplateNameOptions> = definePlatformPlugin({
  kind: 'platform',
  name: 'template-name',
  apiVersion: PLUGIN_API_VERSION,
  options: optionsSchema,
  needs: [],
  register(container, options) {
    container.register(PLATFORM, {
      useFactory: (bound) => new TemplateNamePlatform(options, bound.resolve(GUEST_MEMORY)),
    });
  },
  // The hardware in software. Without it the plugin runs only on real machines.
  simulate(_memory, { offset }) {
    return {
      facilities: new Map(),
      addressSpace: (offersAccessPlatform) =>
        offersAccessPlatform
          ? { module: BRIDGE_MODULE, state: { offset }, open: openAddressSpace }
          : PHYSICAL_ADDRESS_SPACE,
    };
  },
});

export default plugin;
