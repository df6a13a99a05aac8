import type { ConfigField, ConformBench } from '@virtio-platform/core';
import { BLOCK_CONFIG } from '../block-config.ts';
import { VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_RO } from '../block-features.ts';
import { SECTOR_SIZE } from '../layout.ts';

/** What a case has to know of a disk. */
export interface DiskFacts {
  readonly sectors: number;
  /** Sectors of a logical block: requests are whole blocks. */
  readonly unit: number;
  readonly isReadOnly: boolean;
}

/** Reads a field of the configuration, little-endian. */
export function configValue({ transport }: ConformBench, { offset, width }: ConfigField): bigint {
  const bytes = new Uint8Array(width);
  transport.readConfig(offset, bytes);
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** Reads what a case has to know. The features were negotiated. */
export function diskFacts(bench: ConformBench): DiskFacts {
  const { accepted, device } = bench;
  const blockSize = accepted.has(VIRTIO_BLK_F_BLK_SIZE) ? Number(configValue(bench, BLOCK_CONFIG.blk_size)) : 0;
  return {
    sectors: Number(configValue(bench, BLOCK_CONFIG.capacity)),
    unit: Math.max(1, blockSize / SECTOR_SIZE),
    isReadOnly: device.offered.has(VIRTIO_BLK_F_RO),
  };
}
