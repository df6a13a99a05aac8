import { BOUNCE_SEGMENT_SIZE } from '@virtio-platform/core/dma';
import { formatByteSize } from '@virtio-platform/core/memory';
import type { ByteOrder } from '@virtio-platform/core/queue';
import { busAddress, byteSize, takeoverSchema, type Takeover } from '@virtio-platform/options';
import { z } from 'zod';
import type { OnHypercallError } from './dynamic-tce-window.ts';
import { pseriesFailuresSchema, type PseriesFailures } from './pseries-failures.ts';
import {
  DYNAMIC_WINDOWS,
  HYPERVISORS,
  type DynamicWindows,
  type Hypervisor,
} from './simulated/simulated-tce-tables.ts';
import { formerOwnerSchema, type FormerOwnerOptions } from './takeover/takeover-options.ts';
import { DEFAULT_BASE, SECOND_BASE } from './tce-windows.ts';
import { DDW_PAGES, DEFAULT_WINDOW_PAGE, windowSchema, type WindowOptions } from './window-options.ts';

/** The options of the platform, with defaults filled in. */
export interface PseriesOptions {
  readonly window: WindowOptions;
  readonly guestEndian: ByteOrder;
  /** Whether the guest is protected from its hypervisor (PEF): devices see only pages that it shared. */
  readonly secure: boolean;
  /** Bytes of the bounce pool of a secure guest. */
  readonly pool: number;
  readonly onHypercallError: OnHypercallError;
  /** Whether one hypercall may write several entries. */
  readonly multiTce: boolean;
  /** Bytes of the simulated default window. */
  readonly defaultWindowSize: number;
  /** Its first bus address. */
  readonly defaultWindowAddress: bigint;
  /** First bus address of a simulated window beside the default one. */
  readonly dynamicWindowAddress: bigint;
  /** Bytes: the page sizes with which the simulated firmware creates windows. */
  readonly pageSizes: readonly number[];
  /** Which hypervisor the simulated machine has. */
  readonly hypervisor: Hypervisor;
  /** Which windows the simulated machine gives besides the default one. */
  readonly dynamicWindows: DynamicWindows;
  /** How this kernel came to run, where another one ran before it without a reset. */
  readonly takeover?: Takeover | undefined;
  /** What that one left; only with `takeover`. */
  readonly formerOwner?: FormerOwnerOptions | undefined;
  readonly failures: PseriesFailures;
}

const LARGEST_POOL = 2 ** 30;
const options = z.strictObject({
  window: windowSchema.prefault({}).describe('The DMA window that buffers are mapped in.'),
  guestEndian: z
    .enum(['little', 'big'])
    .default('little')
    .describe('Byte order of the guest, and so of the rings of a legacy device.'),
  secure: z
    .boolean()
    .default(false)
    .describe('A guest protected from its hypervisor (PEF): buffers are copied through pages that it shares.'),
  pool: byteSize({ multipleOf: BOUNCE_SEGMENT_SIZE, maximum: LARGEST_POOL })
    .default(2 ** 20)
    .describe('Shared memory of a secure guest that buffers are copied through: a multiple of 256KiB. Default 1MiB.'),
  onHypercallError: z
    .enum(['fail', 'linux'])
    .default('fail')
    .describe(
      'What becomes of a hypercall that fails for another reason than H_NOT_ENOUGH_RESOURCES. fail: the mapping fails. linux: it is only printed there, so the mapping succeeds without a translation, and the device faults later.',
    ),
  multiTce: z
    .boolean()
    .default(true)
    .describe(
      'Whether one hypercall may write several TCEs. false: each is an H_PUT_TCE, as Linux with multitce=off, ' +
        'or where the firmware does not list hcall-multi-tce; the simulated firmware has no such calls then.',
    ),
  defaultWindowSize: byteSize({ multipleOf: DEFAULT_WINDOW_PAGE, minimum: 2 * DEFAULT_WINDOW_PAGE, maximum: 2 ** 32 })
    .default(2 ** 30)
    .describe('Size of the default window on the simulated machine. Small values show what happens when it is full.'),
  defaultWindowAddress: busAddress
    .default(DEFAULT_BASE)
    .describe('First bus address of the default window on the simulated machine. Default 0.'),
  dynamicWindowAddress: busAddress
    .default(SECOND_BASE)
    .describe('First bus address of a 64-bit window beside the default one, on the simulated machine. Default 2^59.'),
  pageSizes: z
    .array(
      byteSize().refine((size) => DDW_PAGES.includes(size), {
        error: `must be one of ${DDW_PAGES.map(formatByteSize).join(', ')}`,
      }),
    )
    .min(1)
    .max(DDW_PAGES.length)
    .prefault(['4KiB', '64KiB', '2MiB', '16MiB'])
    .describe('Page sizes with which the simulated firmware creates windows: [4KiB, 64KiB]. Default all four.'),
  hypervisor: z
    .enum(HYPERVISORS)
    .default('qemu')
    .describe(
      'How strict the simulated hypervisor is. qemu: rounds bus addresses down, stores any entry, and leaves half done what fails half-way. kvm: checks a hypercall before it changes anything, as KVM and PowerVM.',
    ),
  dynamicWindows: z
    .enum(DYNAMIC_WINDOWS)
    .default('beside')
    .describe(
      'Whether the simulated machine gives 64-bit windows. beside: one beside the default window. replace: one window in all, so that the default one has to go first. none: it knows no such calls.',
    ),
  takeover: takeoverSchema.optional(),
  formerOwner: formerOwnerSchema(windowSchema)
    .optional()
    .describe('What the kernel before left in the tables, with takeover. By default 64 pages of the default window.'),
  failures: pseriesFailuresSchema
    .prefault({})
    .describe('What the hypervisor, the firmware and the ultravisor refuse on purpose, and when.'),
});

/** The `platform` section of a profile that uses this plugin. */
export const pseriesOptionsSchema: z.ZodType<PseriesOptions> = options.superRefine((checked, context) => {
  const { defaultWindowAddress: first, defaultWindowSize: size, dynamicWindowAddress: second } = checked;
  const end = first + BigInt(size);
  if (end > 2n ** 64n) {
    const message = 'the window ends beyond 64 bits';
    context.addIssue({ code: 'custom', path: ['defaultWindowAddress'], message, input: first });
  } else if (second < end) {
    const message = `lies in the default window or below it: it can begin at 0x${end.toString(16)}`;
    context.addIssue({ code: 'custom', path: ['dynamicWindowAddress'], message, input: second });
  }
  const { share } = checked.failures;
  if (!checked.secure && Object.keys(share).length > 0) {
    const message = 'has no effect without platform.secure: true';
    context.addIssue({ code: 'custom', path: ['failures', 'share'], message, input: share });
  }
  for (const [path, message] of impossibleTakeover(checked))
    context.addIssue({ code: 'custom', path: [path], message, input: checked[path] });
});

function* impossibleTakeover(options: PseriesOptions): Generator<[path: 'takeover' | 'formerOwner', message: string]> {
  const { takeover, formerOwner, secure, window } = options;
  if (takeover === undefined) {
    if (formerOwner !== undefined) yield ['formerOwner', 'has no effect without takeover: kexec or kdump'];
    return;
  }
  if (secure) yield ['takeover', 'a secure guest unshares all pages before it starts another kernel: leave it out'];
  if (takeover === 'kdump' && window.mapping === 'identity')
    yield ['takeover', 'kdump holds entries of the former owner, so the table cannot become the identity: use kexec'];
}
