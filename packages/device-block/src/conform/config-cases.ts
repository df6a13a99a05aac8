import { bareCases, type CaseNeed, type ConformCase, startedCase } from '@virtio-platform/core';
import { BLOCK_CONFIG, type BlockField } from '../block-config.ts';
import * as feature from '../block-features.ts';
import { configValue } from './block-disk-facts.ts';
import { patternOf, readOf, writeOf } from './block-requests.ts';
import { isWritable } from './request-cases.ts';

const FIELDS = '5.2.4';
const INITIALIZATION = '5.2.5.2';
/** Offset of unused0 and of unused1 in the configuration space. */
const PADDING = [33, 57, 58, 59] as const;

function offers(bit: number, name: string): CaseNeed {
  return ({ acceptable }) => (acceptable.has(bit) ? undefined : `the disk does not offer ${name}`);
}

/** A field that is not 0 where its feature is offered. */
function isSet(field: BlockField, bit: number, name: string): ConformCase {
  return {
    id: `block/${field.replaceAll('_', '-')}`,
    clause: FIELDS,
    level: 'SHOULD',
    title: `says a ${field} that is not 0`,
    needs: [offers(bit, name)],
    run: async (bench) => {
      await bench.start();
      const value = configValue(bench, BLOCK_CONFIG[field]);
      bench.check(value > 0n, `${field} is 0 although ${name} is offered`);
    },
  };
}

/** The configuration space of a disk. */
export const BLOCK_CONFIG_CASES: readonly ConformCase[] = [
  isSet('num_queues', feature.VIRTIO_BLK_F_MQ, 'BLK_MQ'),
  isSet('seg_max', feature.VIRTIO_BLK_F_SEG_MAX, 'BLK_SEG_MAX'),
  isSet('max_discard_sectors', feature.VIRTIO_BLK_F_DISCARD, 'BLK_DISCARD'),
  isSet('max_write_zeroes_sectors', feature.VIRTIO_BLK_F_WRITE_ZEROES, 'BLK_WRITE_ZEROES'),
  startedCase({
    id: 'block/blk-size',
    clause: FIELDS,
    level: 'SHOULD',
    title: 'says a block size that is a power of two, at least a sector',
    needs: [offers(feature.VIRTIO_BLK_F_BLK_SIZE, 'BLK_BLK_SIZE')],
    run: (bench) => {
      const size = configValue(bench, BLOCK_CONFIG.blk_size);
      bench.check(size >= 512n && (size & (size - 1n)) === 0n, `blk_size is ${size}`);
    },
  }),
  ...bareCases({ clause: INITIALIZATION, level: 'SHOULD' }, [
    {
      id: 'block/flush-offered',
      title: 'offers BLK_FLUSH',
      needs: [({ isOwnOffer }) => (isOwnOffer ? undefined : 'the profile says what the disk offers')],
      run: (bench) => bench.check(bench.device.offered.has(feature.VIRTIO_BLK_F_FLUSH), 'BLK_FLUSH is not offered'),
    },
    {
      id: 'block/zoned-not-offered',
      title: 'does not offer BLK_ZONED unless it has zones',
      run: (bench) => {
        if (!bench.device.offered.has(feature.VIRTIO_BLK_F_ZONED)) return;
        const model = new Uint8Array(1);
        bench.transport.readConfig(92, model);
        bench.check(model[0] !== 0, 'BLK_ZONED is offered, and the zone model says that there are no zones');
      },
    },
  ]),
  startedCase({
    id: 'block/padding',
    clause: INITIALIZATION,
    title: 'has padding of 0 in its configuration',
    run: (bench) => {
      for (const offset of PADDING) {
        const byte = new Uint8Array(1);
        bench.transport.readConfig(offset, byte);
        bench.equal(`the padding at byte ${offset} of the configuration`, byte[0]!, 0);
      }
    },
  }),
  startedCase({
    id: 'block/writeback-switched',
    clause: '5.2.5.1',
    title: 'takes a write to writeback, and serves in both modes',
    needs: [isWritable, offers(feature.VIRTIO_BLK_F_CONFIG_WCE, 'BLK_CONFIG_WCE')],
    run: async (bench) => {
      for (const mode of [0, 1, 0]) {
        bench.transport.writeConfig(BLOCK_CONFIG.writeback.offset, Uint8Array.of(mode));
        bench.equal('writeback', configValue(bench, BLOCK_CONFIG.writeback), BigInt(mode));
        const data = patternOf(0, mode);
        if (bench.accepted.has(feature.VIRTIO_BLK_F_BLK_SIZE) && configValue(bench, BLOCK_CONFIG.blk_size) !== 512n)
          continue;
        await bench.serve(bench.layOutRequest(writeOf(100, data)));
        await bench.serve(bench.layOutRequest(readOf(100, data)));
      }
    },
  }),
];
