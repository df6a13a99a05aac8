import { DeviceStatus, startDevice } from '@virtio-platform/core/device';
import { DirectDmaMapping, DmaDirection } from '@virtio-platform/core/dma';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { openVirtqueue, ScatterList, UsedBatch } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import {
  ATTACH_ENDPOINT,
  REQUEST_BYTES,
  REQUEST_DETACH,
  REQUEST_QUEUE,
  STATUS_INVALID,
  TAIL_BYTES,
} from '../../src/unit/request-format.ts';
import { openGuest } from '../iommu-guest.ts';

/** Bytes of a request that no domain has. */
const BYTES = REQUEST_BYTES[REQUEST_DETACH]!;
const TAIL_AT = 64;

/** Sends a DETACH whose request (0) or tail (1) is moved to an address outside of memory; -1: neither. */
function detach(moved: -1 | 0 | 1): { readonly needsReset: boolean; readonly status: number | undefined } {
  const { memory, unit } = openGuest();
  const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 4 });
  const region = mapping.premap(memory.allocate(PAGE_SIZE), PAGE_SIZE, DmaDirection.Bidirectional);
  unit.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
  unit.writeDriverFeatures(FeatureSet.of(VIRTIO_F_VERSION_1));
  unit.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
  const options = { index: REQUEST_QUEUE, size: 4, eventIdx: false, indirect: 0, usedLength: 'strict' } as const;
  const queue = openVirtqueue('split', memory, mapping, options);
  unit.enableQueue(REQUEST_QUEUE, queue.addresses);
  startDevice(unit);
  memory.view.setUint8(region.address, REQUEST_DETACH);
  memory.view.setUint32(region.address + ATTACH_ENDPOINT, unit.endpoint, true);
  const list = new ScatterList(2);
  list.addReadableRegion(region, 0, BYTES);
  list.addWritableRegion(region, TAIL_AT, TAIL_BYTES);
  queue.add(list);
  if (moved >= 0) memory.view.setBigUint64(queue.addresses.words[0]! + 16 * moved, 2n ** 40n, true);
  queue.publish();
  unit.notify(REQUEST_QUEUE, 0);
  const used = new UsedBatch(1);
  return {
    needsReset: (unit.readStatus() & DeviceStatus.NeedsReset) !== 0,
    status: queue.takeUsed(used) === 0 ? undefined : memory.u8[region.address + TAIL_AT],
  };
}

describe('a request of a simulated unit', () => {
  it('is answered where it is in memory', () =>
    expect(detach(-1)).toEqual({ needsReset: false, status: STATUS_INVALID }));

  it.each([
    ['cannot be read', 0],
    ['cannot be answered', 1],
  ] as const)('that %s is an error of the driver', (_, moved) =>
    expect(detach(moved)).toEqual({ needsReset: true, status: undefined }),
  );
});
