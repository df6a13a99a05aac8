import { INTERRUPT_MODES, type InterruptMode } from '@virtio-platform/pci';
import { z } from 'zod';
import { intelIommuSchema, type IntelIommuProperties } from './intel-iommu-properties.ts';
import { BOARDS, BUSES, busesOf, hasSlots, type BoardName, type Bus } from './board/board-name.ts';
import { MMIO_SLOTS } from './board/board-slot.ts';
import { hostBridgeSchema, type HostBridgeProperties } from './host-bridge-properties.ts';
import { overriddenArguments } from './overridden-arguments.ts';
import { virtioIommuSchema, type VirtioIommuProperties } from './virtio-iommu-properties.ts';

/** In an argument of `backEnd`: the path of the socket to listen on. */
export const SOCKET_PLACEHOLDER = '{socket}';

/** The checked options of the machine. Times are in milliseconds. */
export interface QemuOptions {
  readonly board: BoardName;
  readonly iommu: 'none' | 'amd' | 'intel' | 'smmuv3' | 'virtio';
  /** Properties of the VT-d unit; only where it is the IOMMU. */
  readonly intelIommu?: IntelIommuProperties | undefined;
  /** Properties of the virtio-iommu; only where it is the IOMMU. */
  readonly virtioIommu?: VirtioIommuProperties | undefined;
  /** Version of the interrupt controller of virt; only there. QEMU's default, 2, unless given. */
  readonly gic?: 2 | 3 | undefined;
  /** Properties of the host bridge; only of pseries. */
  readonly hostBridge?: HostBridgeProperties | undefined;
  /** Where the device is, on a board that has both; see {@link busOf}. */
  readonly bus?: Bus | undefined;
  /** The virtio-mmio slot of the device, where it is in one. */
  readonly slot?: number | undefined;
  readonly interrupts: InterruptMode;
  readonly program?: string | undefined;
  readonly arguments: readonly string[];
  /** Names of QEMU's trace events, with * for any characters. */
  readonly trace: readonly string[];
  /** The vhost-user back-end of the device: program and arguments, or the socket of one that runs already. */
  readonly backEnd?: string | readonly string[] | undefined;
  readonly startTimeout: number;
  readonly replyTimeout: number;
}

const timeout = z.int().min(1).max(600_000);

/** The `machine` section of a profile that uses this plugin, without `memory`. */
export const qemuOptionsSchema: z.ZodType<QemuOptions> = z
  .strictObject({
    board: z
      .enum(BOARDS)
      .describe(
        'The QEMU machine: pc has no IOMMU, q35 can have one, pseries always has one; on microvm (x86) the device is ' +
          'in a slot of virtio-mmio, and on virt (Arm) in one or on PCI.',
      ),
    iommu: z
      .enum(['none', 'amd', 'intel', 'smmuv3', 'virtio'])
      .default('none')
      .describe(
        'An IOMMU beside that of the board: intel is VT-d, and amd an AMD IOMMU, for q35. smmuv3 is an SMMUv3, for ' +
          'virt. virtio is a virtio-iommu, for each board with PCI. Default none.',
      ),
    intelIommu: intelIommuSchema.optional().describe('The VT-d unit, where machine.iommu is intel.'),
    virtioIommu: virtioIommuSchema.optional().describe('The virtio-iommu, where machine.iommu is virtio.'),
    gic: z
      .literal([2, 3])
      .optional()
      .describe(
        'The version of the interrupt controller of virt. 3 has an ITS, which tells devices apart, so that a process ' +
          'may have one behind an IOMMU. Default 2.',
      ),
    hostBridge: hostBridgeSchema
      .optional()
      .describe('The host bridge of pseries: where its DMA windows are, and which can be created.'),
    bus: z
      .enum(BUSES)
      .optional()
      .describe(
        'Where the device is. virt has both: mmio, a slot of virtio-mmio, is the default there, and pci where the ' +
          'machine has an IOMMU. microvm has mmio, and the other boards have pci.',
      ),
    slot: z
      .int()
      .min(0)
      .optional()
      .describe('The virtio-mmio slot of the device: 0 to 23 on microvm, 0 to 31 on virt. Default 0.'),
    interrupts: z
      .enum(INTERRUPT_MODES)
      .default('msix')
      .describe(
        'How the device interrupts. msix: MSI-X messages, written to memory that the driver maps for them. ' +
          'isr: the driver polls the ISR register. messages: the former name of msix. Default msix. ' +
          'On virtio-mmio the driver polls InterruptStatus.',
      ),
    program: z
      .string()
      .min(1)
      .optional()
      .describe(
        'QEMU, by name or path. Default qemu-system-x86_64, qemu-system-ppc64 for pseries, ' +
          'qemu-system-aarch64 for virt.',
      ),
    arguments: z
      .array(z.string().min(1))
      .max(64)
      .default([])
      .describe('More arguments for QEMU, behind those that the profile implies: [-d, guest_errors].'),
    trace: z
      .array(z.string().regex(/^[a-zA-Z0-9_*?]+$/))
      .max(64)
      .default([])
      .describe('Events of QEMU for the trace of the run: [virtqueue_*, vtd_iotlb_*]. qemu -trace help lists them.'),
    backEnd: z
      .union([
        z.string().min(1),
        z
          .array(z.string().min(1))
          .min(1)
          .max(256)
          .refine((command) => command.some((argument) => argument.includes(SOCKET_PLACEHOLDER)), {
            error: `no argument has ${SOCKET_PLACEHOLDER}`,
          }),
      ])
      .optional()
      .describe(
        "The vhost-user back-end with which QEMU's device works: program and arguments of one that is started, where " +
          '{socket} stands for the socket it has to listen on, or the socket of one that runs: serve --socket PATH.',
      ),
    startTimeout: timeout
      .default(20_000)
      .describe('Milliseconds until the first answer of QEMU, and before it until its back-end listens.'),
    replyTimeout: timeout.default(5_000).describe('Milliseconds until an answer of QEMU.'),
  })
  .refine(({ board, iommu }) => iommu !== 'intel' || board === 'q35', {
    path: ['iommu'],
    error: 'only q35 can have an Intel IOMMU: QEMU makes one on no other board',
  })
  .refine(({ board, bus }) => bus === undefined || busesOf(board).includes(bus), {
    path: ['bus'],
    error: 'the board has another one: microvm has mmio, pc, q35 and pseries have pci, and virt has both',
  })
  .refine(({ board, iommu }) => iommu !== 'amd' || board === 'q35', {
    path: ['iommu'],
    error: 'only q35 can have an AMD IOMMU: QEMU makes one on no other board',
  })
  .refine(({ board, iommu }) => iommu !== 'smmuv3' || board === 'virt', {
    path: ['iommu'],
    error: 'only virt can have an SMMUv3: it is an IOMMU of Arm',
  })
  .refine((options) => options.iommu === 'none' || busOf(options) === 'pci', {
    path: ['iommu'],
    error:
      'an IOMMU tells devices apart by their requester id, and one on virtio-mmio has none: use a board with PCI, ' +
      'and on virt machine.bus: pci',
  })
  .refine((options) => options.slot === undefined || busOf(options) === 'mmio', {
    path: ['slot'],
    error:
      'only microvm and virt have slots of virtio-mmio, and on virt only a device with machine.bus: mmio is in one',
  })
  .refine(({ board, slot = 0 }) => !hasSlots(board) || slot < MMIO_SLOTS[board].count, {
    path: ['slot'],
    error: 'the board has fewer slots: microvm has 24, and virt has 32',
  })
  .refine(({ board, hostBridge }) => hostBridge === undefined || board === 'pseries', {
    path: ['hostBridge'],
    error: 'only pseries has a host bridge with DMA windows',
  })
  .refine(({ board, gic }) => gic === undefined || board === 'virt', {
    path: ['gic'],
    error: 'only virt has a GIC: it is the interrupt controller of Arm',
  })
  .superRefine((options, context) => {
    for (const [section, iommu] of [
      ['intelIommu', 'intel'],
      ['virtioIommu', 'virtio'],
    ] as const) {
      if (options[section] === undefined || options.iommu === iommu) continue;
      const message = `has no effect: machine.iommu is ${options.iommu}; write machine.iommu: ${iommu}, or leave it out`;
      context.addIssue({ code: 'custom', path: [section], message, input: options[section] });
    }
    for (const { index, message } of overriddenArguments(options)) {
      const input = options.arguments[index];
      context.addIssue({ code: 'custom', path: ['arguments', index], message, input });
    }
  });

/** Whether the interrupt controller tells devices apart. */
export function hasIts({ gic }: Pick<QemuOptions, 'gic'>): boolean {
  return gic === 3;
}

/** Where the device of a profile is. */
export function busOf({ board, bus, iommu }: Pick<QemuOptions, 'board' | 'bus' | 'iommu'>): Bus {
  const [usual, other] = busesOf(board);
  return bus ?? (iommu === 'none' ? usual : (other ?? usual));
}

/** The QEMU program with the machine type of a board. */
export function qemuProgram({ program, board }: Pick<QemuOptions, 'program' | 'board'>): string {
  return program ?? PROGRAMS[board];
}

const PROGRAMS: Readonly<Record<BoardName, string>> = {
  pc: 'qemu-system-x86_64',
  q35: 'qemu-system-x86_64',
  pseries: 'qemu-system-ppc64',
  microvm: 'qemu-system-x86_64',
  virt: 'qemu-system-aarch64',
};
