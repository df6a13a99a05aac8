import { INTERRUPT_MODES, type InterruptMode } from '@virtio-platform/pci';
import { z } from 'zod';
import { intelIommuSchema, type IntelIommuProperties } from './intel-iommu-properties.ts';
import { overriddenArguments } from './overridden-arguments.ts';
import { virtioIommuSchema, type VirtioIommuProperties } from './virtio-iommu-properties.ts';

/** In an argument of `backEnd`: the path of the socket to listen on. */
export const SOCKET_PLACEHOLDER = '{socket}';

/** The QEMU machine types that this machine supports. */
export const BOARDS = ['pc', 'q35', 'pseries'] as const;
/** One of {@link BOARDS}. */
export type BoardName = (typeof BOARDS)[number];

/** The checked options of the machine. Times are in milliseconds. */
export interface QemuOptions {
  readonly board: BoardName;
  readonly iommu: 'none' | 'intel' | 'virtio';
  /** Properties of the VT-d unit; only where it is the IOMMU. */
  readonly intelIommu?: IntelIommuProperties | undefined;
  /** Properties of the virtio-iommu; only where it is the IOMMU. */
  readonly virtioIommu?: VirtioIommuProperties | undefined;
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
    board: z.enum(BOARDS).describe('The QEMU machine: pc has no IOMMU, q35 can have one, pseries always has one.'),
    iommu: z
      .enum(['none', 'intel', 'virtio'])
      .default('none')
      .describe(
        'An IOMMU beside that of the board: intel is VT-d, for q35. virtio is a virtio-iommu, for each board. Default none.',
      ),
    intelIommu: intelIommuSchema.optional().describe('The VT-d unit, where machine.iommu is intel.'),
    virtioIommu: virtioIommuSchema.optional().describe('The virtio-iommu, where machine.iommu is virtio.'),
    interrupts: z
      .enum(INTERRUPT_MODES)
      .default('msix')
      .describe(
        'How the device interrupts. msix: MSI-X messages, written to memory that the driver maps for them. ' +
          'isr: the driver polls the ISR register. messages: the former name of msix. Default msix.',
      ),
    program: z
      .string()
      .min(1)
      .optional()
      .describe('QEMU, by name or path. Default qemu-system-x86_64, or qemu-system-ppc64 for pseries.'),
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
    error: 'only q35 can have an Intel IOMMU; pseries has its own IOMMU, and pc has none',
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

/** The QEMU program with the machine type of a board. */
export function qemuProgram({ program, board }: Pick<QemuOptions, 'program' | 'board'>): string {
  return program ?? (board === 'pseries' ? 'qemu-system-ppc64' : 'qemu-system-x86_64');
}
