import type { InjectionToken } from 'tsyringe';
import { z } from 'zod';

/** QEMU machine types that this machine knows how to drive. */
export const BOARDS = ['pc', 'q35', 'pseries'] as const;
export type BoardName = (typeof BOARDS)[number];

/** Times are milliseconds. */
export interface QemuOptions {
  readonly board: BoardName;
  readonly iommu: 'none' | 'intel';
  readonly interrupts: 'messages' | 'isr';
  readonly program?: string | undefined;
  readonly arguments: readonly string[];
  readonly startTimeout: number;
  readonly replyTimeout: number;
}

/** The `machine` section of a profile that uses this plugin, without `memory`. */
export const qemuOptionsSchema: z.ZodType<QemuOptions> = z
  .strictObject({
    board: z.enum(BOARDS).describe('The QEMU machine: pc has no IOMMU, q35 can have one, pseries always has one.'),
    iommu: z.enum(['none', 'intel']).default('none').describe('An IOMMU for q35: intel is VT-d. Default none.'),
    interrupts: z
      .enum(['messages', 'isr'])
      .default('messages')
      .describe(
        'How the device interrupts. messages: MSI-X, written to memory that the driver maps for it. isr: a register that is asked. Default messages.',
      ),
    program: z
      .string()
      .min(1)
      .optional()
      .describe('QEMU, by name or path. Without it qemu-system-x86_64, or qemu-system-ppc64 for pseries.'),
    arguments: z
      .array(z.string().min(1))
      .max(64)
      .default([])
      .describe('More arguments for QEMU, behind those that the profile implies: [-d, guest_errors].'),
    startTimeout: z
      .int()
      .min(1)
      .max(600_000)
      .default(20_000)
      .describe('Milliseconds until QEMU has to answer for the first time.'),
    replyTimeout: z.int().min(1).max(600_000).default(5_000).describe('Milliseconds QEMU may take for an answer.'),
  })
  .refine(({ board, iommu }) => iommu === 'none' || board === 'q35', {
    path: ['iommu'],
    error: 'only q35 can have an Intel IOMMU; pseries has one of its own, and pc none',
  });

export const QEMU_OPTIONS: InjectionToken<QemuOptions> = Symbol.for('@virtio-platform/machine-qemu:Options');

/** The program that has a board. */
export function qemuProgram({ program, board }: Pick<QemuOptions, 'program' | 'board'>): string {
  return program ?? (board === 'pseries' ? 'qemu-system-ppc64' : 'qemu-system-x86_64');
}
