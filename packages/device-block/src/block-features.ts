import { FeatureRows } from '@virtio-platform/core/features';

/** The features of a block device (specification 1.4 section 5.2.3). */
export const BLOCK_FEATURES: FeatureRows = new FeatureRows('virtio 1.4 §5.2.5.1 and §5.2.5.2');

/** Legacy: request barriers. Section 5.2.3.1. */
export const VIRTIO_BLK_F_BARRIER: number = BLOCK_FEATURES.bit(0, 'BLK_BARRIER', {
  undriven: 'barriers are of the legacy interface, and Linux sends none',
});
/** Largest size of a single segment is in `size_max`. Section 5.2.3. */
export const VIRTIO_BLK_F_SIZE_MAX: number = BLOCK_FEATURES.bit(1, 'BLK_SIZE_MAX');
/** Largest number of segments in a request is in `seg_max`. Section 5.2.3. */
export const VIRTIO_BLK_F_SEG_MAX: number = BLOCK_FEATURES.bit(2, 'BLK_SEG_MAX');
/** Disk-style geometry in `geometry`. Section 5.2.3. */
export const VIRTIO_BLK_F_GEOMETRY: number = BLOCK_FEATURES.bit(4, 'BLK_GEOMETRY');
/** The device is read-only. Section 5.2.3. */
export const VIRTIO_BLK_F_RO: number = BLOCK_FEATURES.bit(5, 'BLK_RO');
/** Block size in `blk_size`. Section 5.2.3. */
export const VIRTIO_BLK_F_BLK_SIZE: number = BLOCK_FEATURES.bit(6, 'BLK_BLK_SIZE');
/** Legacy: SCSI passthrough. Section 5.2.3.1. */
export const VIRTIO_BLK_F_SCSI: number = BLOCK_FEATURES.bit(7, 'BLK_SCSI', {
  undriven: 'SCSI commands on a disk are of the legacy interface, and Linux sends none',
});
/** The flush command. Section 5.2.3. */
export const VIRTIO_BLK_F_FLUSH: number = BLOCK_FEATURES.bit(9, 'BLK_FLUSH');
/** Optimal I/O alignment in `topology`. Section 5.2.3. */
export const VIRTIO_BLK_F_TOPOLOGY: number = BLOCK_FEATURES.bit(10, 'BLK_TOPOLOGY');
/** The cache can be toggled between writeback and writethrough. Section 5.2.3. */
export const VIRTIO_BLK_F_CONFIG_WCE: number = BLOCK_FEATURES.bit(11, 'BLK_CONFIG_WCE', {
  requires: [VIRTIO_BLK_F_FLUSH],
});
/** Several request queues. Section 5.2.3. */
export const VIRTIO_BLK_F_MQ: number = BLOCK_FEATURES.bit(12, 'BLK_MQ');
/** The discard command. Section 5.2.3. */
export const VIRTIO_BLK_F_DISCARD: number = BLOCK_FEATURES.bit(13, 'BLK_DISCARD');
/** The write zeroes command. Section 5.2.3. */
export const VIRTIO_BLK_F_WRITE_ZEROES: number = BLOCK_FEATURES.bit(14, 'BLK_WRITE_ZEROES');
/** Lifetime metrics of the device, by the command GET_LIFETIME. Section 5.2.3. */
export const VIRTIO_BLK_F_LIFETIME: number = BLOCK_FEATURES.bit(15, 'BLK_LIFETIME');
/** The secure erase command. Section 5.2.3. */
export const VIRTIO_BLK_F_SECURE_ERASE: number = BLOCK_FEATURES.bit(16, 'BLK_SECURE_ERASE');
/** The device is zoned, and has the zone commands. Section 5.2.3. */
export const VIRTIO_BLK_F_ZONED: number = BLOCK_FEATURES.bit(17, 'BLK_ZONED', {
  undriven: 'it writes in any order, and may not accept zones that are written in order (virtio 1.4 §5.2.5.1)',
});
