import { fileURLToPath } from 'node:url';
import type { DecisionTable } from '@virtio-platform/conformance';

/** The plugin that was written outside of the packages; a row of its platforms runs like any other. */
export const XEN_GRANTS: string = fileURLToPath(new URL('../outside/xen-grants/src/index.js', import.meta.url));

/** The `platform` section of the table's platforms that a plugin of `test/outside` is. */
const OUTSIDE: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'xen-pv': { use: XEN_GRANTS },
  'xen-hvm': { use: XEN_GRANTS, guest: 'hvm' },
  'xen-hvm-grant': { use: XEN_GRANTS, guest: 'hvm', grants: true },
  'xen-arm-grant': { use: XEN_GRANTS, guest: 'arm' },
  'xen-arm': { use: XEN_GRANTS, guest: 'arm', grants: false },
  'xen-q35': { use: XEN_GRANTS, guest: 'hvm', emulatedIommu: true },
};

/** The table with the plugins of `test/outside`, which the published one cannot name. */
export function withOutsidePlatforms({ platforms, rows }: DecisionTable): DecisionTable {
  const outside = Object.entries(OUTSIDE).map(([name, profile]) => [name, { ...platforms[name]!, profile }] as const);
  return { platforms: { ...platforms, ...Object.fromEntries(outside) }, rows };
}
