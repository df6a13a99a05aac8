/** Request types. Specification 1.4 section 5.2.6. */
export const VIRTIO_BLK_T_IN = 0;
/** Request type: write. Section 5.2.6. */
export const VIRTIO_BLK_T_OUT = 1;
/** Request type: flush. Section 5.2.6. */
export const VIRTIO_BLK_T_FLUSH = 4;
/** Request type: get the identification string, 20 bytes. Section 5.2.6. */
export const VIRTIO_BLK_T_GET_ID = 8;
/** Request type of a legacy driver: the synonym of flush. Section 5.2.6.5. */
export const VIRTIO_BLK_T_FLUSH_OUT = 5;
/** Request type: get the lifetime of the storage, 6 bytes. Section 5.2.6. */
export const VIRTIO_BLK_T_GET_LIFETIME = 10;
/** Request type: discard ranges, whose content is undefined from then on. Section 5.2.6. */
export const VIRTIO_BLK_T_DISCARD = 11;
/** Request type: write zeroes to ranges. Section 5.2.6. */
export const VIRTIO_BLK_T_WRITE_ZEROES = 13;
/** Request type: erase ranges so that no copy of the data stays. Section 5.2.6. */
export const VIRTIO_BLK_T_SECURE_ERASE = 14;

/** Flag of a range of {@link VIRTIO_BLK_T_WRITE_ZEROES}: the device may deallocate it. Section 5.2.6. */
export const VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP = 1;

/** What the device writes to the last byte of a request. */
export const VIRTIO_BLK_S_OK = 0;
/** Status: device or driver error. Section 5.2.6. */
export const VIRTIO_BLK_S_IOERR = 1;
/** Status: request unsupported. Section 5.2.6. */
export const VIRTIO_BLK_S_UNSUPP = 2;

/** The unit of capacity and of request positions, whatever the block size is. */
export const SECTOR_SIZE = 512;
/** le32 type, le32 reserved, le64 sector. */
export const BLOCK_HEADER_SIZE = 16;
/** le64 sector, le32 num_sectors, le32 flags: one range of a discard, write zeroes or secure erase. Section 5.2.6. */
export const BLOCK_RANGE_SIZE = 16;
/** le16 pre_eol_info, le16 device_lifetime_est_typ_a, le16 device_lifetime_est_typ_b. Section 5.2.6. */
export const BLOCK_LIFETIME_SIZE = 6;
/** Most request queues that the halves of this package have. */
export const BLOCK_MAX_QUEUES = 64;
/** Bytes of the answer to GET_ID; shorter ones end with a zero. */
export const BLOCK_ID_SIZE = 20;
