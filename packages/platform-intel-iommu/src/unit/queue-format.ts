/**
 * Offset of the head of the invalidation queue, 64 bits: the descriptor that the unit executes next (VT-d
 * specification, queued invalidation, like all below).
 */
export const IQH_REG = 0x80;
/** Offset of the tail, 64 bits: the first descriptor that the driver has not written yet. */
export const IQT_REG = 0x88;
/** Offset of the queue's address, 64 bits, with the width of a descriptor and the size of the queue. */
export const IQA_REG = 0x90;
/** Offset of the completion status: a wait descriptor asked for an interrupt. */
export const ICS_REG = 0x9c;

/** Low word of the queue's address: descriptors have 256 bits instead of 128. */
export const WIDE_DESCRIPTORS = 0x800;
/** Low word of the queue's address: log2 of its pages. */
export const QUEUE_SIZE_MASK = 7;

/** Fault status: the unit cannot execute the descriptor at the head, and stops there. */
export const QUEUE_ERROR = 0x10;
/** Fault status: a device answered an invalidation of its own cache with something else. */
export const COMPLETION_ERROR = 0x20;
/** Fault status: a device did not answer in time, and the unit gave up what waited for it. */
export const TIMEOUT_ERROR = 0x40;
/** The three errors. Each is cleared by writing it. */
export const QUEUE_ERRORS: number = QUEUE_ERROR | COMPLETION_ERROR | TIMEOUT_ERROR;

/** Mask of the type in the first word of a descriptor; the types follow. */
export const DESCRIPTOR_TYPE_MASK = 0xf;
/** Drops cached contexts. */
export const CONTEXT_DESCRIPTOR = 1;
/** Drops cached translations. */
export const IOTLB_DESCRIPTOR = 2;
/** Says when everything before it is done. */
export const WAIT_DESCRIPTOR = 5;
/** Drops cached entries of PASID tables. */
export const PASID_DESCRIPTOR = 7;

/** First word: shift of the granularity, whose values are those of the registers but for PASIDs. */
export const DESCRIPTOR_GRANULARITY_SHIFT = 4;
/** Granularity of PASID entries: all of a domain. */
export const PASIDS_OF_DOMAIN = 0;
/** Granularity of PASID entries: one PASID of a domain. */
export const ONE_PASID = 1;
/** Granularity of PASID entries: everything. */
export const ALL_PASIDS = 3;
/** First word of a descriptor for translations: complete writes in flight first. */
export const DESCRIPTOR_DRAINS_WRITES = 0x40;
/** First word of a descriptor for translations: complete reads in flight first. */
export const DESCRIPTOR_DRAINS_READS = 0x80;
/** First word: shift of the domain. */
export const DESCRIPTOR_DOMAIN_SHIFT = 16;
/** First word of a wait descriptor: interrupt when done. */
export const WAIT_INTERRUPTS = 0x10;
/** First word of a wait descriptor: write the status when done. */
export const WAIT_WRITES_STATUS = 0x20;
/** First word of a wait descriptor: nothing behind it starts before it is done. */
export const WAIT_IS_FENCE = 0x40;
