/** Queues by their numbers in the specification (1.4 section 5.5.2); see {@link balloonQueues}. */
export const INFLATE_QUEUE = 0;
/** Pages that leave the balloon. Section 5.5.2. */
export const DEFLATE_QUEUE = 1;
/** Statistics, with STATS_VQ. Section 5.5.2. */
export const STATS_QUEUE = 2;
/** Hints, with FREE_PAGE_HINT. Section 5.5.2. */
export const FREE_PAGE_QUEUE = 3;
/** Reports of free pages, with PAGE_REPORTING. Section 5.5.2. */
export const REPORTING_QUEUE = 4;

/** Bytes of the page that a page number counts, whatever pages the guest has. Section 5.5.6. */
export const BALLOON_PAGE_SIZE = 4096;
/** Page numbers of one request at most, as in Linux (VIRTIO_BALLOON_ARRAY_PFNS_MAX). */
export const MOST_PAGE_NUMBERS = 256;
/** Bytes of a page number in a request. Section 5.5.6. */
export const PAGE_NUMBER_SIZE = 4;

/** The value of `free_page_hint_cmd_id` that stops a round. Section 5.5.6.4. */
export const VIRTIO_BALLOON_CMD_ID_STOP = 0;
/** The value that ends hinting, and with which the driver has the hinted pages again. Section 5.5.6.4. */
export const VIRTIO_BALLOON_CMD_ID_DONE = 1;
/** The least value that asks for hints. Section 5.5.6.4. */
export const FIRST_CMD_ID = 2;
/** Bytes of a command id in a buffer. Section 5.5.6.4. */
export const CMD_ID_SIZE = 4;

/** Bytes of one statistic: a tag of 16 bits, and a value of 64. Section 5.5.6.2. */
export const STATISTIC_SIZE = 10;
/** The tags of statistics by their names in the specification. Section 5.5.6.3. */
export const STATISTIC_TAGS = {
  swapIn: 0,
  swapOut: 1,
  majorFaults: 2,
  minorFaults: 3,
  freeMemory: 4,
  totalMemory: 5,
  availableMemory: 6,
  caches: 7,
  hugePageAllocations: 8,
  hugePageFailures: 9,
} as const;
/** Statistics that the specification knows. */
export const STATISTIC_COUNT: number = Object.keys(STATISTIC_TAGS).length;
