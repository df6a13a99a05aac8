import { busAddress, byteSize } from '@virtio-platform/options';
import { z } from 'zod';

/** What is particular about the host bridge of QEMU's pseries. What is left out is as QEMU has it. */
export interface HostBridgeProperties {
  /** Whether 64-bit windows can be created. */
  readonly dynamicWindows?: boolean | undefined;
  readonly defaultWindowAddress?: bigint | undefined;
  /** Bytes. */
  readonly defaultWindowSize?: number | undefined;
  /** First bus address of a 64-bit window beside the default one. */
  readonly dynamicWindowAddress?: bigint | undefined;
  /** Bytes: the page sizes with which windows can be created. */
  readonly pageSizes?: readonly number[] | undefined;
}

const PAGE_SIZES: readonly number[] = [2 ** 12, 2 ** 16, 2 ** 21, 2 ** 24];
/** A table of QEMU has 8 bytes for each 4 KiB. */
const LARGEST_WINDOW = 2 ** 36;

/** The `hostBridge` of a profile. QEMU's names: `qemu-system-ppc64 -device spapr-pci-host-bridge,help`. */
export const hostBridgeSchema: z.ZodType<HostBridgeProperties> = z
  .strictObject({
    dynamicWindows: z
      .boolean()
      .optional()
      .describe('ddw: whether the firmware creates 64-bit windows. By default true.'),
    defaultWindowAddress: busAddress
      .optional()
      .describe('dma_win_addr: first bus address of the default window, or of one in its place. By default 0.'),
    defaultWindowSize: byteSize({ multipleOf: 4096, minimum: 8192, maximum: LARGEST_WINDOW })
      .optional()
      .describe('dma_win_size: bytes of the default window. By default 1GiB.'),
    dynamicWindowAddress: busAddress
      .optional()
      .describe('dma64_win_addr: first bus address of a window beside the default one. By default 2^59.'),
    pageSizes: z
      .array(byteSize().refine((size) => PAGE_SIZES.includes(size), { error: 'must be 4KiB, 64KiB, 2MiB or 16MiB' }))
      .min(1)
      .max(PAGE_SIZES.length)
      .optional()
      .describe('pgsz: page sizes with which windows can be created: [4KiB, 64KiB]. By default all four.'),
  })
  .superRefine((bridge, context) => {
    const { defaultWindowAddress: first = 0n, defaultWindowSize: size = 2 ** 30 } = bridge;
    const { dynamicWindowAddress: second = 2n ** 59n } = bridge;
    const end = first + BigInt(size);
    if (second >= end) return;
    const message = `lies in the default window or below it: it can begin at 0x${end.toString(16)}`;
    context.addIssue({ code: 'custom', path: ['dynamicWindowAddress'], message, input: second });
  });

/** QEMU's property for each, by which an argument of the profile would set it a second time. */
export const HOST_BRIDGE_PROPERTIES: Readonly<Record<string, keyof HostBridgeProperties>> = {
  ddw: 'dynamicWindows',
  dma_win_addr: 'defaultWindowAddress',
  dma_win_size: 'defaultWindowSize',
  dma64_win_addr: 'dynamicWindowAddress',
  pgsz: 'pageSizes',
};

/** The arguments of the bridge. The machine creates it, so its properties are global ones. */
export function hostBridgeArguments(properties: HostBridgeProperties): string[] {
  return Object.entries(HOST_BRIDGE_PROPERTIES).flatMap(([name, key]) => {
    const value = properties[key];
    return value === undefined ? [] : ['-global', `spapr-pci-host-bridge.${name}=${argumentOf(value)}`];
  });
}

/** Page sizes are a mask. */
function argumentOf(value: bigint | number | boolean | readonly number[]): string {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  return typeof value === 'object' ? value.reduce((mask, size) => mask + size, 0).toString() : value.toString();
}
