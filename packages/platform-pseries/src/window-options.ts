import { formatByteSize } from '@virtio-platform/core/memory';
import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';

/** The default 32-bit window, or a dynamic 64-bit one (DDW). */
export type WindowKind = 'default' | 'ddw';
/** How a window maps memory: page by page, all of it at its own address, or all of it at an offset. */
export type WindowMapping = 'identity' | 'dynamic' | 'linear';

/** The window as it will be used: defaults filled in, and a combination that exists. */
export interface WindowOptions {
  readonly kind: WindowKind;
  readonly mapping: WindowMapping;
  /** Bytes. */
  readonly pageSize: number;
}

/** The window as a profile writes it. */
export interface WindowInput {
  kind?: WindowKind | undefined;
  mapping?: WindowMapping | undefined;
  pageSize?: string | number | undefined;
}

/** Bytes of a page of the default window; sPAPR fixes it. */
export const DEFAULT_WINDOW_PAGE: number = 4096;
/** Bytes of the pages of a 64-bit window. */
export const DDW_PAGES: readonly number[] = [2 ** 12, 2 ** 16, 2 ** 21, 2 ** 24];
const MAPPINGS: Readonly<Record<WindowKind, readonly [WindowMapping, WindowMapping]>> = {
  default: ['dynamic', 'identity'],
  ddw: ['linear', 'dynamic'],
};

/** The schema of a DMA window. */
export const windowSchema: z.ZodType<WindowOptions, WindowInput> = z
  .strictObject({
    kind: z
      .enum(['default', 'ddw'])
      .default('ddw')
      .describe(
        'default: the window that is always there, by default at bus address 0. ddw: a 64-bit window that the guest ' +
          'asks for.',
      ),
    mapping: z
      .enum(['identity', 'dynamic', 'linear'])
      .optional()
      .describe(
        'dynamic: each mapping gets bus pages of its own. identity (kind default): TCE i points at page i. ' +
          'linear (kind ddw): all of memory at the base of the window + its address. By default dynamic for kind ' +
          'default, linear for kind ddw.',
      ),
    pageSize: byteSize()
      .optional()
      .describe(
        'Bytes that one TCE translates: 4KiB, 64KiB, 2MiB or 16MiB. By default 4KiB for kind default (fixed ' +
          'there), 64KiB for kind ddw.',
      ),
  })
  .transform((window, context): WindowOptions => {
    const { kind } = window;
    const mapping = window.mapping ?? MAPPINGS[kind][0];
    const pageSize = window.pageSize ?? (kind === 'default' ? DEFAULT_WINDOW_PAGE : 2 ** 16);
    for (const [path, message] of impossible({ kind, mapping, pageSize })) {
      context.addIssue({ code: 'custom', path: [path], message, input: window });
    }
    return { kind, mapping, pageSize };
  });

/** Which keys cannot go together, and what is possible instead. */
function* impossible({ kind, mapping, pageSize }: WindowOptions): Generator<['mapping' | 'pageSize', string]> {
  if (!MAPPINGS[kind].includes(mapping)) {
    yield [
      'mapping',
      mapping === 'identity'
        ? 'a ddw window starts at 2^59, so it cannot be the identity: use linear or dynamic, or kind: default'
        : 'the default window is too small for all of memory: use dynamic or identity, or kind: ddw',
    ];
  }
  if (kind === 'default' && pageSize !== DEFAULT_WINDOW_PAGE) {
    yield ['pageSize', 'pages of the default window are always 4KiB: leave pageSize out, or use kind: ddw'];
  } else if (!DDW_PAGES.includes(pageSize)) {
    yield ['pageSize', `a page has ${DDW_PAGES.map(formatByteSize).join(', ')}, not ${formatByteSize(pageSize)}`];
  }
}
