import { failureSchedule } from '@virtio-platform/options';
import { z } from 'zod';
import { FIRST_REFERENCE } from './grant-table.js';

/** The first number that names no domain but a special meaning (xen.h DOMID_FIRST_RESERVED). */
const FIRST_RESERVED_DOMAIN = 0x7ff0;

const domain = z
  .int()
  .min(0)
  .max(FIRST_RESERVED_DOMAIN - 1);

/** Checks `platform: { use, guest, grants, domain, ... }`. */
export const xenOptionsSchema = z
  .strictObject({
    guest: z
      .enum(['pv', 'hvm', 'arm'])
      .default('pv')
      .describe('How the guest runs: paravirtual, as a whole x86 computer, or on arm.'),
    grants: z
      .boolean()
      .optional()
      .describe(
        'Whether the driver grants pages: a pv guest always does; hvm only with CONFIG_XEN_VIRTIO_FORCE_GRANT, so ' +
          'false there by default; arm where the device tree names xen,grant-dma, as by default.',
      ),
    domain: domain.default(0).describe('The domain of the back-end, to which pages are granted. Default 0.'),
    entries: z
      .int()
      .min(2 * FIRST_REFERENCE)
      .max(2 ** 17)
      .default(2 ** 15)
      .describe('Entries of the grant table, the first 8 of them reserved. Default 32768, as of 64 frames.'),
    emulatedIommu: z
      .boolean()
      .default(false)
      .describe('Gives an hvm guest the emulated IOMMU of Q35, with which Xen never worked: devices are refused.'),
    backEnd: z
      .strictObject({
        domain: domain.optional().describe('The domain that the back-end really runs in. Default: the one granted to.'),
        drops: z
          .enum(['on-reset', 'never'])
          .default('on-reset')
          .describe('When it unmaps the grants that failures.keep lets it keep: with the device’s reset, or never.'),
      })
      .prefault({})
      .describe('Simulated: how the back-end behaves.'),
    failures: z
      .strictObject({
        grant: failureSchedule.describe('Mappings for which the grant table has no free entry.'),
        keep: failureSchedule.describe('Pages that the back-end keeps mapped after it used them.'),
      })
      .prefault({})
      .describe('What fails on purpose.'),
  })
  .refine(({ guest, grants }) => guest !== 'pv' || grants !== false, {
    path: ['grants'],
    error: 'a pv guest always grants: leave it out, or choose another guest',
  })
  .refine(({ guest, grants, emulatedIommu }) => !emulatedIommu || (guest === 'hvm' && grants !== true), {
    path: ['emulatedIommu'],
    error: 'only an hvm guest without grants can be given the emulated IOMMU',
  })
  .transform((options) => ({
    ...options,
    grants: options.grants ?? options.guest !== 'hvm',
    backEnd: { ...options.backEnd, domain: options.backEnd.domain ?? options.domain },
  }));
