import type { PlatformPlugin } from '@virtio-platform/core';
import { checkOptions, openPlatform, RingPair } from '@virtio-platform/conformance/testing';
import { DESCRIPTOR_SIZE, ScatterList, type QueueLayout } from '@virtio-platform/core/queue';
import amdIommu from '@virtio-platform/platform-amd-iommu';
import intelIommu from '@virtio-platform/platform-intel-iommu';
import legacy from '@virtio-platform/platform-legacy';
import pseries from '@virtio-platform/platform-pseries';
import sev from '@virtio-platform/platform-sev';
import smmuv3 from '@virtio-platform/platform-smmuv3';
import vfio from '@virtio-platform/platform-vfio';
import virtioIommu from '@virtio-platform/platform-virtio-iommu';
import { describe, expect, it } from 'vitest';

const SIZE = 8;
/** Bytes of a descriptor's address, which is what platforms are about. */
const ADDRESS_BYTES = 8;

/** Opens a platform with these options and records its ring. */
type Tracer = (layout: QueueLayout) => Promise<string[]>;

function tracer<Options>(plugin: PlatformPlugin<Options>, options: unknown): Tracer {
  return (layout) => ringTrace(layout, plugin, options);
}

const PLATFORMS: readonly [string, Tracer][] = [
  ['pseries, linear', tracer(pseries, {})],
  ['pseries, dynamic', tracer(pseries, { window: { mapping: 'dynamic' } })],
  ['pseries, secure', tracer(pseries, { secure: true, pool: '256KiB' })],
  ['amd-iommu', tracer(amdIommu, {})],
  ['intel-iommu', tracer(intelIommu, {})],
  ['sev', tracer(sev, { pool: '256KiB' })],
  ['smmuv3', tracer(smmuv3, {})],
  ['vfio', tracer(vfio, {})],
  ['virtio-iommu', tracer(virtioIommu, {})],
];

/** What a ring looks like to the device after each of the same requests, without the addresses in it. */
async function ringTrace<Options>(
  layout: QueueLayout,
  plugin: PlatformPlugin<Options>,
  given: unknown,
): Promise<string[]> {
  const { memory, space, openMapping } = openPlatform(plugin, await checkOptions(plugin, given));
  const { queue } = new RingPair({ memory, mapping: openMapping(), space, layout, size: SIZE, eventIdx: true });
  const areas = layout === 'split' ? [SIZE * DESCRIPTOR_SIZE, 6 + 2 * SIZE] : [SIZE * DESCRIPTOR_SIZE, 4];
  const list = new ScatterList(3);
  const buffer = memory.allocate(4096);
  const trace: string[] = [];
  for (const lengths of [[16, 512], [64], [16, 4096, 1]]) {
    list.clear();
    for (const [i, length] of lengths.entries()) {
      if (i === 0) list.addReadable(buffer, length);
      else list.addWritable(buffer, length);
    }
    expect(queue.add(list)).toBeGreaterThanOrEqual(0);
    queue.publish();
    const bytes = areas.map((length, area) => {
      const seen = new Uint8Array(length);
      const { words } = queue.addresses;
      expect(space.read(words[2 * area]!, words[2 * area + 1]!, seen, 0, length)).toBe(true);
      if (area === 0) for (let at = 0; at < length; at += DESCRIPTOR_SIZE) seen.fill(0, at, at + ADDRESS_BYTES);
      return Buffer.from(seen).toString('hex');
    });
    trace.push(bytes.join(' '));
  }
  return trace;
}

describe.each(['split', 'packed'] as const)('P10: a %s ring, byte for byte but for the addresses in it', (layout) => {
  it.each(PLATFORMS)('is the same under %s as without an IOMMU', async (_name, traceOf) => {
    const trace = await traceOf(layout);
    expect(trace).toEqual(await tracer(legacy, {})(layout));
    expect(new Set(trace).size).toBe(3);
  });
});
