import type { AvailableRequest, RequestMistake, RequestMistakeKind } from '@virtio-platform/core';
import { readChain } from '@virtio-platform/device-kit';
import { BLOCK_CONFIG } from './block-config.ts';
import {
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_LIFETIME,
  VIRTIO_BLK_F_SECURE_ERASE,
  VIRTIO_BLK_F_WRITE_ZEROES,
} from './block-features.ts';
import * as wire from './layout.ts';

/** Bits of the number of a sector that are looked at at once. */
const WORD = 0x1_0000_0000;

/** The feature that a request needs, and what it is called. */
const NEEDED: ReadonlyMap<number, readonly [feature: number, name: string]> = new Map([
  [wire.VIRTIO_BLK_T_FLUSH, [VIRTIO_BLK_F_FLUSH, 'FLUSH needs BLK_FLUSH']],
  [wire.VIRTIO_BLK_T_GET_LIFETIME, [VIRTIO_BLK_F_LIFETIME, 'GET_LIFETIME needs BLK_LIFETIME']],
  [wire.VIRTIO_BLK_T_DISCARD, [VIRTIO_BLK_F_DISCARD, 'DISCARD needs BLK_DISCARD']],
  [wire.VIRTIO_BLK_T_WRITE_ZEROES, [VIRTIO_BLK_F_WRITE_ZEROES, 'WRITE_ZEROES needs BLK_WRITE_ZEROES']],
  [wire.VIRTIO_BLK_T_SECURE_ERASE, [VIRTIO_BLK_F_SECURE_ERASE, 'SECURE_ERASE needs BLK_SECURE_ERASE']],
]);

/** What is wrong with a request of a block device (specification 1.4 section 5.2.6.1). */
export function checkBlockRequest({ chain, space, accepted, config }: AvailableRequest): RequestMistake | undefined {
  const { readableBytes, writableBytes, count } = chain;
  if (readableBytes < wire.BLOCK_HEADER_SIZE)
    return mistake(
      'header',
      `has ${readableBytes} bytes for the device to read: its header has ${wire.BLOCK_HEADER_SIZE}`,
    );
  if (writableBytes === 0)
    return mistake('status', 'has no byte that the device may write: the status is the last one', count - 1);
  const header = new Uint8Array(wire.BLOCK_HEADER_SIZE);
  // An address that leads nowhere is a finding of its own.
  if (!readChain(chain, space, 0, header, 0, wire.BLOCK_HEADER_SIZE)) return undefined;
  const view = new DataView(header.buffer);
  const type = view.getUint32(0, true);
  const sector = view.getUint32(12, true) * WORD + view.getUint32(8, true);
  const [feature, name] = NEEDED.get(type) ?? [];
  if (feature !== undefined && !accepted.has(feature))
    return mistake('feature', `of type ${type}: ${name}, which the driver did not accept`);
  const capacity = new DataView(config.buffer, config.byteOffset).getBigUint64(BLOCK_CONFIG.capacity.offset, true);
  switch (type) {
    case wire.VIRTIO_BLK_T_IN:
      return dataProblem('reads', sector, writableBytes - 1, Number(capacity));
    case wire.VIRTIO_BLK_T_OUT:
      return dataProblem('writes', sector, readableBytes - wire.BLOCK_HEADER_SIZE, Number(capacity));
    case wire.VIRTIO_BLK_T_FLUSH:
      return sector === 0 ? undefined : mistake('value', `flushes with sector ${sector}, which has to be 0`);
    case wire.VIRTIO_BLK_T_GET_ID:
      if (writableBytes - 1 === wire.BLOCK_ID_SIZE) return undefined;
      return mistake('length', `asks for the identity in ${writableBytes - 1} bytes: it has ${wire.BLOCK_ID_SIZE}`, 1);
    case wire.VIRTIO_BLK_T_DISCARD:
    case wire.VIRTIO_BLK_T_WRITE_ZEROES:
    case wire.VIRTIO_BLK_T_SECURE_ERASE: {
      const length = readableBytes - wire.BLOCK_HEADER_SIZE;
      if (length > 0 && length % wire.BLOCK_RANGE_SIZE === 0) return undefined;
      return mistake('length', `has ranges of ${length} bytes: each has ${wire.BLOCK_RANGE_SIZE}`, 1);
    }
    default:
      return undefined;
  }
}

function dataProblem(what: string, sector: number, length: number, capacity: number): RequestMistake | undefined {
  if (length % wire.SECTOR_SIZE !== 0)
    return mistake('length', `${what} ${length} bytes, which is no multiple of ${wire.SECTOR_SIZE}`, 1);
  const sectors = length / wire.SECTOR_SIZE;
  if (sector + sectors <= capacity) return undefined;
  return mistake('range', `${what} ${sectors} sectors at sector ${sector} of a disk of ${capacity}`);
}

function mistake(kind: RequestMistakeKind, what: string, segment = 0): RequestMistake {
  return { kind, clause: '5.2.6.1', what, segment };
}
