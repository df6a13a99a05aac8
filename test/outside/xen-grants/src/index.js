import { definePlatformPlugin, GUEST_MEMORY, PLATFORM, PLUGIN_API_VERSION } from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { backEndAddressSpace } from './back-end.js';
import { GrantTable } from './grant-table.js';
import { xenOptionsSchema } from './options.js';
import { XEN_GRANT_TABLE, XenPlatform } from './xen-platform.js';

export { GrantTable, XEN_GRANT_TABLE, XenPlatform, xenOptionsSchema };

export default definePlatformPlugin({
  kind: 'platform',
  name: 'xen-grants',
  apiVersion: PLUGIN_API_VERSION,
  options: xenOptionsSchema,
  needs: [XEN_GRANT_TABLE],
  register(container, options) {
    container.register(PLATFORM, {
      useFactory: (bound) => new XenPlatform(options, bound.resolve(GUEST_MEMORY), bound.resolve(XEN_GRANT_TABLE)),
    });
  },
  simulate(_memory, options) {
    const table = GrantTable.create(options.entries);
    const backEnd = backEndAddressSpace(table, options);
    return {
      facilities: new Map([[XEN_GRANT_TABLE, table]]),
      // Without grants a device model in the privileged domain reaches all of the guest at its own addresses.
      addressSpace: () => (options.grants ? backEnd : PHYSICAL_ADDRESS_SPACE),
    };
  },
});
