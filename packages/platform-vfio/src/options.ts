import { formatByteSize, PAGE_SIZE } from '@virtio-platform/core/memory';
import { byteSize, pageAddress } from '@virtio-platform/options';
import { z } from 'zod';
import { CONTAINER_TYPES, type ContainerType, type IovaRange } from './container/vfio-container.ts';
import type { WindowRequest } from './iova/spapr-window.ts';
import type { OtherDevice } from './simulated/other-devices.ts';
import { LARGEST_WINDOW, MOST_LEVELS } from './simulated/tce-windows.ts';
/** The kernel's own default: module parameter dma_entry_limit of vfio_iommu_type1. */
const DEFAULT_ENTRY_LIMIT = 65535;
/** The parameter is an unsigned int. */
const LARGEST_ENTRY_LIMIT = 2 ** 32 - 1;
/** Pages that an IOMMU or a kernel can have as the smallest ones: those of x86, and of Arm. */
const GRANULES: readonly number[] = [2 ** 12, 2 ** 14, 2 ** 16];
const GRANULES_EXPECTED = `must be one of ${GRANULES.map(formatByteSize).join(', ')}`;
/** Bytes that a TCE translates, and sizes of the pages of a POWER host. */
const POWER_PAGES: readonly number[] = [2 ** 12, 2 ** 16, 2 ** 21, 2 ** 24];
const POWER_PAGES_EXPECTED = `must be one of ${POWER_PAGES.map(formatByteSize).join(', ')}`;

/** What a mapping does with a page of which its buffer fills only a part. */
export const PARTIAL_PAGES = ['widen', 'refuse'] as const;

/** The limits of the process that goes on after exec. What is left out is as it was. */
export interface AfterExec {
  /** Bytes it may pin. */
  readonly memoryLockLimit?: number | undefined;
  readonly capIpcLock?: boolean | undefined;
  /** Bytes it has locked by other means; none unless given. */
  readonly lockedByProcess?: number | undefined;
}

/** The `platform` section of a profile that uses this plugin. All but the first four are of the simulated kernel. */
export interface VfioOptions {
  readonly container: ContainerType;
  /** First I/O virtual address to use; without it the container's first, which can be 0. */
  readonly iovaStart?: number | undefined;
  /** Of sPAPR version 2: the window to create and use, instead of the default one. */
  readonly window?: WindowRequest | undefined;
  /**
   * `widen`: the device gets whole pages, and with them what lies beside a buffer. `refuse`: a buffer that does not
   * fill whole pages is not mapped.
   */
  readonly partialPages: (typeof PARTIAL_PAGES)[number];
  /** Whether interrupts of the device are remapped, so that it can raise only its own. */
  readonly interruptRemapping: boolean;
  /** Bytes the process may pin (RLIMIT_MEMLOCK). */
  readonly memoryLockLimit: number;
  /** Whether the process has CAP_IPC_LOCK, for which the limit does not count. */
  readonly capIpcLock: boolean;
  /** Bytes the process has locked by other means. */
  readonly lockedByProcess: number;
  /** Bytes other processes of the user have pinned. */
  readonly lockedByUser: number;
  /** Mappings the container can hold. */
  readonly entryLimit: number;
  /** Other devices of the same process, in this container or in one of their own. */
  readonly otherDevices?: readonly OtherDevice[] | undefined;
  /** What the process may lock after exec. */
  readonly afterExec?: AfterExec | undefined;
  /** Bytes of the smallest page of the IOMMU. */
  readonly pageSize: number;
  /** Bytes of a page of the kernel; those of the IOMMU unless given. */
  readonly hostPageSize?: number | undefined;
  /** Bits of an I/O virtual address. */
  readonly addressWidth: 39 | 48;
  /** Ranges that the IOMMU keeps to itself, beside that of interrupts. */
  readonly reserved?: readonly IovaRange[] | undefined;
  /** Bytes of the 32-bit window. */
  readonly defaultWindowSize: number;
  /** Bytes of the pages that the memory of the process is in. */
  readonly backingPageSize: number;
  /** Whether the kernel was started with enable_unsafe_noiommu_mode. */
  readonly unsafeNoiommuMode: boolean;
  /** Whether the process has CAP_SYS_RAWIO. */
  readonly capSysRawio: boolean;
}

interface WindowInput {
  readonly pageSize?: number | string | undefined;
  readonly size?: number | string | undefined;
  readonly levels?: number | undefined;
}

interface OtherDeviceInput {
  readonly name: string;
  readonly maps: number | string;
  readonly container?: OtherDevice['container'] | undefined;
  readonly afterMappings?: number | undefined;
}

interface AfterExecInput {
  readonly memoryLockLimit?: number | string | undefined;
  readonly capIpcLock?: boolean | undefined;
  readonly lockedByProcess?: number | string | undefined;
}

/** What a profile may write for {@link VfioOptions}. */
export interface VfioOptionsInput {
  readonly container?: ContainerType | undefined;
  readonly iovaStart?: number | bigint | undefined;
  readonly interruptRemapping?: boolean | undefined;
  readonly window?: WindowInput | undefined;
  readonly partialPages?: VfioOptions['partialPages'] | undefined;
  readonly memoryLockLimit?: number | string | undefined;
  readonly capIpcLock?: boolean | undefined;
  readonly lockedByProcess?: number | string | undefined;
  readonly lockedByUser?: number | string | undefined;
  readonly entryLimit?: number | undefined;
  readonly otherDevices?: readonly OtherDeviceInput[] | undefined;
  readonly afterExec?: AfterExecInput | undefined;
  readonly pageSize?: number | string | undefined;
  readonly hostPageSize?: number | string | undefined;
  readonly addressWidth?: 39 | 48 | undefined;
  readonly reserved?: readonly { readonly start: number | bigint; readonly size: number | string }[] | undefined;
  readonly defaultWindowSize?: number | string | undefined;
  readonly backingPageSize?: number | string | undefined;
  readonly unsafeNoiommuMode?: boolean | undefined;
  readonly capSysRawio?: boolean | undefined;
}

const powerPage = byteSize().refine((bytes) => POWER_PAGES.includes(bytes), { error: POWER_PAGES_EXPECTED });

const window: z.ZodType<WindowRequest, WindowInput> = z
  .strictObject({
    pageSize: powerPage.prefault('64KiB').describe('Bytes that one TCE translates. Default 64KiB.'),
    size: byteSize({ powerOfTwo: true, maximum: LARGEST_WINDOW })
      .prefault('1GiB')
      .describe('Bytes of bus addresses, a power of two. Default 1GiB.'),
    levels: z
      .int()
      .min(1)
      .max(MOST_LEVELS)
      .optional()
      .describe('Levels of the table of TCEs, 1 to 5. By default as few as the kernel has memory for.'),
  })
  .refine(({ pageSize, size }) => pageSize <= size, { error: 'a window has at least one page', path: ['size'] });

const reservedRange: z.ZodType<IovaRange, NonNullable<VfioOptionsInput['reserved']>[number]> = z
  .strictObject({
    start: pageAddress.describe('First address, a multiple of 0x1000.'),
    size: byteSize({ multipleOf: PAGE_SIZE }).describe('Bytes.'),
  })
  .transform(({ start, size }) => ({ start, end: start + size - 1 }));

const granule = byteSize().refine((bytes) => GRANULES.includes(bytes), { error: GRANULES_EXPECTED });

const otherDevice: z.ZodType<OtherDevice, OtherDeviceInput> = z.strictObject({
  name: z.string().min(1).max(64).describe('As reports name it, such as net0.'),
  maps: byteSize({ multipleOf: PAGE_SIZE }).describe('Bytes that its driver maps, at once.'),
  container: z
    .enum(['shared', 'own'])
    .default('shared')
    .describe(
      'shared: in the same container, whose devices reach the same memory, which is locked once. own: in one of ' +
        'its own. Default shared.',
    ),
  afterMappings: z
    .int()
    .min(0)
    .default(0)
    .describe('How many mappings the driver of this profile makes before. Default 0: it maps first.'),
});

const afterExec: z.ZodType<AfterExec, AfterExecInput> = z.strictObject({
  memoryLockLimit: byteSize().optional().describe('Memory that the next process may pin. By default as before.'),
  capIpcLock: z.boolean().optional().describe('The next process has CAP_IPC_LOCK. By default as before.'),
  lockedByProcess: byteSize({ minimum: 0 })
    .optional()
    .describe('What the next process has locked by other means. By default nothing: exec unlocks it.'),
});

const EACH_OPTION = z.strictObject({
  container: z
    .enum(CONTAINER_TYPES)
    .default('type1v2')
    .describe(
      'How the process gets its device: type1 or type1v2 (x86, arm), spapr-v1 or spapr-v2 (POWER), iommufd ' +
        '(/dev/iommu), iommufd-type1 or iommufd-type1v2 (/dev/iommu used as a container), or noiommu. Default ' +
        'type1v2.',
    ),
  iovaStart: pageAddress
    .optional()
    .describe('First I/O virtual address to use, such as 0x100000000. By default the first of the container, often 0.'),
  interruptRemapping: z
    .boolean()
    .default(true)
    .describe(
      'Whether the IOMMU remaps interrupts. Without it the device is refused, unless policy.allowUnsafeInterrupts.',
    ),
  window: window
    .optional()
    .describe('spapr-v2: a 64-bit window to create and use. By default the 32-bit one, in pages of 4KiB.'),
  partialPages: z
    .enum(PARTIAL_PAGES)
    .default('widen')
    .describe(
      'What becomes of a buffer that does not fill whole pages of the IOMMU. widen: the device also reaches ' +
        'what lies beside it, which the report counts. refuse: it is not mapped. Default widen.',
    ),
  memoryLockLimit: byteSize()
    .prefault('8MiB')
    .describe(
      'Simulated: memory the process may pin (ulimit -l). type1 and iommufd count every mapping, also of the same page; spapr-v1 the whole window when it is enabled; spapr-v2 all memory when it is registered. Default 8MiB.',
    ),
  capIpcLock: z.boolean().default(false).describe('Simulated: the process has CAP_IPC_LOCK, and no limit.'),
  lockedByProcess: byteSize({ minimum: 0 })
    .default(0)
    .describe('Simulated, not iommufd: what the process has locked by other means, which counts too. Default none.'),
  lockedByUser: byteSize({ minimum: 0 })
    .default(0)
    .describe('Simulated, iommufd: what other processes of the user have pinned, which counts too. Default none.'),
  entryLimit: z
    .int()
    .min(1)
    .max(LARGEST_ENTRY_LIMIT)
    .default(DEFAULT_ENTRY_LIMIT)
    .describe(
      'Simulated, type1: how many mappings the container holds (dma_entry_limit of vfio_iommu_type1), up to ' +
        '4294967295. Default 65535.',
    ),
  otherDevices: z
    .array(otherDevice)
    .max(64)
    .optional()
    .describe(
      'Simulated, type1 and iommufd: other devices of the process and what they map: [{ name: net0, maps: 4MiB }].',
    ),
  afterExec: afterExec
    .optional()
    .describe(
      'Simulated, type1: the limits of the process that goes on after exec (workload.disruptions: [{ after: ' +
        '500, do: exec }]).',
    ),
  pageSize: granule
    .prefault('4KiB')
    .describe(
      'Simulated, type1 and iommufd: the smallest page of the IOMMU, 4KiB, 16KiB or 64KiB. A device reaches ' +
        'whole ones. Default 4KiB.',
    ),
  hostPageSize: granule
    .optional()
    .describe(
      'Simulated, type1 and iommufd: the page of the kernel, 4KiB, 16KiB or 64KiB. By default that of the IOMMU.',
    ),
  addressWidth: z
    .literal([39, 48])
    .default(39)
    .describe('Simulated, type1 and iommufd: bits of an I/O virtual address, 39 or 48. Default 39.'),
  reserved: z
    .array(reservedRange)
    .optional()
    .describe(
      'Simulated, type1 and iommufd: ranges that cannot be mapped, beside 0xfee00000 to 0xfeefffff, which is for interrupts.',
    ),
  defaultWindowSize: byteSize({ powerOfTwo: true, minimum: 2 * PAGE_SIZE, maximum: 2 ** 32 })
    .prefault('1GiB')
    .describe('Simulated, spapr: bytes of the 32-bit window at bus address 0. Default 1GiB.'),
  backingPageSize: powerPage
    .prefault('64KiB')
    .describe(
      'Simulated, spapr: pages that the memory of the process is in. A TCE cannot translate more than one. Default 64KiB.',
    ),
  unsafeNoiommuMode: z
    .boolean()
    .default(false)
    .describe(
      'Simulated, noiommu: the kernel has vfio.enable_unsafe_noiommu_mode=1. Without it the device is refused.',
    ),
  capSysRawio: z
    .boolean()
    .default(false)
    .describe('Simulated, noiommu: the process has CAP_SYS_RAWIO. Without it the device is refused.'),
});

const TYPE1 = ['type1', 'type1v2'] as const;
const SPAPR = ['spapr-v1', 'spapr-v2'] as const;
const IOMMUFD = ['iommufd', 'iommufd-type1', 'iommufd-type1v2'] as const;
const TRANSLATING = [...TYPE1, ...SPAPR, ...IOMMUFD] as const;

type Option = Exclude<keyof VfioOptions, 'container'>;

/** The kinds of container that each option belongs to. */
const PLACES: Readonly<Record<Option, readonly ContainerType[]>> = {
  iovaStart: TRANSLATING,
  interruptRemapping: [...TYPE1, ...IOMMUFD],
  window: ['spapr-v2'],
  partialPages: TRANSLATING,
  memoryLockLimit: TRANSLATING,
  capIpcLock: TRANSLATING,
  lockedByProcess: [...TYPE1, ...SPAPR],
  lockedByUser: IOMMUFD,
  entryLimit: TYPE1,
  otherDevices: [...TYPE1, ...IOMMUFD],
  afterExec: TYPE1,
  pageSize: [...TYPE1, ...IOMMUFD],
  hostPageSize: [...TYPE1, ...IOMMUFD],
  addressWidth: [...TYPE1, ...IOMMUFD],
  reserved: [...TYPE1, ...IOMMUFD],
  defaultWindowSize: SPAPR,
  backingPageSize: SPAPR,
  unsafeNoiommuMode: ['noiommu'],
  capSysRawio: ['noiommu'],
};

/** Options that only the simulated kernel reads: a real one has limits, pages and other devices of its own. */
export const SIMULATED_OPTIONS: readonly Option[] = [
  'memoryLockLimit',
  'capIpcLock',
  'lockedByProcess',
  'lockedByUser',
  'entryLimit',
  'otherDevices',
  'afterExec',
  'pageSize',
  'hostPageSize',
  'addressWidth',
  'reserved',
  'defaultWindowSize',
  'backingPageSize',
  'unsafeNoiommuMode',
  'capSysRawio',
];

const DEFAULTS: VfioOptions = EACH_OPTION.parse({});

/** The schema of the options of the platform. */
export const vfioOptionsSchema: z.ZodType<VfioOptions, VfioOptionsInput> = EACH_OPTION.superRefine(
  (options, context) => {
    for (const [key, message] of misplacedOptions(options, DEFAULTS))
      context.addIssue({ code: 'custom', path: [key], message, input: options[key] });
    const { container, pageSize, hostPageSize = pageSize } = options;
    const isIommufd = IOMMUFD.some((kind) => kind === container);
    if (!isIommufd || pageSize <= hostPageSize) return;
    const [pages, ofKernel] = [formatByteSize(pageSize), formatByteSize(hostPageSize)];
    const message =
      `${container} attaches no device behind an IOMMU whose smallest page, ${pages}, is larger than the ` +
      `kernel's ${ofKernel} ` +
      `(EINVAL): set hostPageSize to at least ${pages}`;
    context.addIssue({ code: 'custom', path: ['hostPageSize'], message, input: hostPageSize });
  },
);

/** Finds options that differ from their default and do not belong to this kind of container. */
function* misplacedOptions(options: VfioOptions, defaults: VfioOptions): Generator<readonly [Option, string]> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a record of exactly these
  for (const key of Object.keys(PLACES) as Option[]) {
    const places = PLACES[key];
    if (options[key] === defaults[key] || places.includes(options.container)) continue;
    yield [key, `container ${options.container} has no ${key}: leave it out, or use container ${places.join(' or ')}`];
  }
}
