/** Request types. Specification 1.4 section 5.2.6. */
export const VIRTIO_BLK_T_IN = 0;
/** Request type: write. Section 5.2.6. */
export const VIRTIO_BLK_T_OUT = 1;
/** Request type: flush. Section 5.2.6. */
export const VIRTIO_BLK_T_FLUSH = 4;
/** Request type: get the identification string, 20 bytes. Section 5.2.6. */
export const VIRTIO_BLK_T_GET_ID = 8;

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
/** Most request queues that the halves of this package have. */
export const BLOCK_MAX_QUEUES = 64;
/** Bytes of the answer to GET_ID; shorter ones end with a zero. */
export const BLOCK_ID_SIZE = 20;
