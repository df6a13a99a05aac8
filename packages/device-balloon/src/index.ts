/**
 * The memory balloon: driver half, device half, and the workloads over it (specification 1.4 section 5.5).
 *
 * @packageDocumentation
 */
import {
  defineDeviceType,
  defineWorkload,
  PLUGIN_API_VERSION,
  type DeviceTypePlugin,
  type WorkloadType,
} from '@virtio-platform/core';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';
import { BALLOON_CASES } from './conform/balloon-cases.ts';
import { BALLOON_CONFIG } from './balloon-config.ts';
import { BalloonDevice } from './balloon-device.ts';
import { BalloonDriver } from './balloon-driver.ts';
import { ALL_BALLOON_FEATURES, BALLOON_FEATURES } from './balloon-features.ts';
import { balloonQueueList } from './balloon-queues.ts';
import { BALLOON_SETTINGS, type BalloonSettings } from './balloon-settings.ts';
import { BalloonWork, type BalloonWorkOptions } from './balloon-work.ts';
import { BALLOON_PAGE_SIZE, MOST_PAGE_NUMBERS } from './layout.ts';
import { qemuBalloon } from './qemu-balloon.ts';
import { checkBalloonRequest } from './check-balloon-request.ts';

export * from './balloon-config.ts';
export * from './balloon-device.ts';
export * from './balloon-driver.ts';
export * from './balloon-features.ts';
export * from './balloon-queues.ts';
export { BALLOON_SETTINGS, type BalloonSettings, type BalloonSettingsInput } from './balloon-settings.ts';
export { BalloonWork, type BalloonWorkOptions } from './balloon-work.ts';
export * from './given-pages.ts';
export * from './guest-pages.ts';
export * from './hint-queue.ts';
export * from './hint-rounds.ts';
export * from './layout.ts';
export * from './page-number-queue.ts';
export * from './received-statistics.ts';
export * from './reporting-queue.ts';
export * from './statistics-queue.ts';

/** The options of the workload `inflate-deflate`. */
export type InflateDeflateOptions = Pick<BalloonWorkOptions, 'pageSize' | 'batch'>;

/** Pages of the guest in one request, where the profile does not say how many. */
const BATCH = 16;

const pageSize = byteSize({
  minimum: BALLOON_PAGE_SIZE,
  maximum: BALLOON_PAGE_SIZE * MOST_PAGE_NUMBERS,
  powerOfTwo: true,
})
  .prefault(BALLOON_PAGE_SIZE)
  .describe('Bytes of a page of the guest, a power of two: 64KiB for a POWER guest; without it 4KiB.');
const batch = z
  .int()
  .min(1)
  .max(MOST_PAGE_NUMBERS)
  .default(BATCH)
  .describe('Pages of the guest in one request at most, up to 256; without it 16.');
const share = z.number().min(0).max(0.9);

const bytes = ({ pageSize: size }: InflateDeflateOptions): number => size;

const inflateDeflate: WorkloadType<BalloonSettings, BalloonDriver, InflateDeflateOptions> = defineWorkload<
  BalloonSettings,
  BalloonDriver,
  InflateDeflateOptions
>({
  summary: 'move pages into the balloon and out of it, and compare the content of all others',
  options: z.strictObject({ pageSize, batch }),
  bytes,
  recovers: true,
  open: (driver: BalloonDriver, context) =>
    new BalloonWork(driver, { ...context, options: { ...context.options, reports: 0, pressure: 0 } }),
});

const mixed: WorkloadType<BalloonSettings, BalloonDriver, BalloonWorkOptions> = defineWorkload<
  BalloonSettings,
  BalloonDriver,
  BalloonWorkOptions
>({
  summary: 'the same, with reports of free pages and a guest that runs out of memory',
  options: z.strictObject({
    pageSize,
    batch,
    reports: share.default(0.1).describe('The part of the requests that report free pages, 0 to 0.9; without it 0.1.'),
    pressure: share
      .default(0.05)
      .describe('The part of the requests for which memory runs out, 0 to 0.9; without it 0.05.'),
  }),
  bytes,
  recovers: true,
  open: (driver: BalloonDriver, context) => new BalloonWork(driver, context),
});

const plugin: DeviceTypePlugin<BalloonSettings, BalloonDriver> = defineDeviceType({
  kind: 'device',
  name: 'balloon',
  apiVersion: PLUGIN_API_VERSION,
  id: 5,
  features: BALLOON_FEATURES,
  options: BALLOON_SETTINGS,
  // A device half takes pages by their numbers.
  writes: 'memory',
  config: BALLOON_CONFIG,
  driver: {
    features: ALL_BALLOON_FEATURES,
    declines: [
      {
        feature: VIRTIO_F_ACCESS_PLATFORM,
        reason: 'the page numbers of a balloon are guest-physical, and no platform translates them',
      },
    ],
    usedLength: { legacy: 'ignore' },
    queues: balloonQueueList,
    open: (context) => new BalloonDriver(context),
  },
  workloads: { 'inflate-deflate': inflateDeflate, mixed },
  model: (settings, byteOrder) => new BalloonDevice(settings, byteOrder),
  qemu: qemuBalloon,
  cases: BALLOON_CASES,
  checkRequest: checkBalloonRequest,
});

export default plugin;
