/** The number of the device type (specification 1.4 section 5). */
export const IOMMU_DEVICE_ID = 23;

/** Index of the queue of requests (section 5.13.2). */
export const REQUEST_QUEUE = 0;
/** Index of the queue of events. */
export const EVENT_QUEUE = 1;

/** Offset in the configuration, like the next ones (section 5.13.4): bit n is set for pages of 2^n bytes. */
export const CONFIG_PAGE_SIZE_MASK = 0;
/** First and last I/O virtual address, with INPUT_RANGE. */
export const CONFIG_INPUT_RANGE = 8;
/** First and last domain number, with DOMAIN_RANGE. */
export const CONFIG_DOMAIN_RANGE = 24;
/** Bytes of the properties of a PROBE, with PROBE. */
export const CONFIG_PROBE_SIZE = 32;
/** Whether endpoints without a domain are let through, with BYPASS_CONFIG. */
export const CONFIG_BYPASS = 36;
/** Bytes of the configuration. */
export const CONFIG_BYTES = 40;

/** Type of a request, its first byte, like the next ones (section 5.13.6). */
export const REQUEST_ATTACH = 1;
/** Takes an endpoint out of its domain. */
export const REQUEST_DETACH = 2;
/** Adds a mapping to a domain. */
export const REQUEST_MAP = 3;
/** Removes all mappings in a range of a domain. */
export const REQUEST_UNMAP = 4;
/** Asks for the properties of an endpoint. */
export const REQUEST_PROBE = 5;

/** Bytes of the part of a request that the unit reads, by its type. */
export const REQUEST_BYTES: Readonly<Record<number, number>> = {
  [REQUEST_ATTACH]: 20,
  [REQUEST_DETACH]: 20,
  [REQUEST_MAP]: 36,
  [REQUEST_UNMAP]: 28,
  [REQUEST_PROBE]: 72,
};
/** Bytes of the tail of a request: the status, and three that are reserved. */
export const TAIL_BYTES = 4;

/** Offset of the domain in every request but PROBE. */
export const REQUEST_DOMAIN = 4;
/** Offset of the endpoint in ATTACH and DETACH. */
export const ATTACH_ENDPOINT = 8;
/** Offset of the flags in ATTACH. */
export const ATTACH_FLAGS = 12;
/** Flag of ATTACH: the domain lets every address through. */
export const ATTACH_BYPASS = 1;
/** Offset of the first I/O virtual address in MAP and UNMAP. */
export const RANGE_START = 8;
/** Offset of the last one. */
export const RANGE_END = 16;
/** Offset of the physical address in MAP. */
export const MAP_PHYSICAL = 24;
/** Offset of the flags in MAP. */
export const MAP_FLAGS = 32;
/** Flag of MAP, and of an event: reading. */
export const ACCESS_READ = 1;
/** Flag of MAP, and of an event: writing. */
export const ACCESS_WRITE = 2;
/** Flag of MAP: the physical address is that of registers. */
export const MAP_MMIO = 4;
/** Offset of the endpoint in PROBE. */
export const PROBE_ENDPOINT = 4;

/** Status of a request, the first byte of its tail, like the next ones (section 5.13.6). */
export const STATUS_OK = 0;
/** An error of the virtio transport or of memory. */
export const STATUS_IO_ERROR = 1;
/** The unit does not know the request. */
export const STATUS_UNSUPPORTED = 2;
/** The unit met an error of its own. */
export const STATUS_DEVICE_ERROR = 3;
/** A field has a value that it cannot have. */
export const STATUS_INVALID = 4;
/** An address or a number is out of range. */
export const STATUS_RANGE = 5;
/** There is no such endpoint or domain. */
export const STATUS_NO_ENTRY = 6;
/** The unit cannot read or write the request. */
export const STATUS_FAULT = 7;
/** The unit has no memory left. */
export const STATUS_NO_MEMORY = 8;

const STATUS_NAMES = ['OK', 'IOERR', 'UNSUPP', 'DEVERR', 'INVAL', 'RANGE', 'NOENT', 'FAULT', 'NOMEM'];

/** The name of a status in the specification; of an unknown one its number. */
export function statusName(status: number): string {
  return STATUS_NAMES[status] ?? `status ${status}`;
}

/** Type of a property of an endpoint: the list ends (section 5.13.6.6). */
export const PROPERTY_NONE = 0;
/** Type of a property: a reserved region. */
export const PROPERTY_RESERVED = 1;
/** The bits of a property's type; the others are reserved. */
export const PROPERTY_TYPE_MASK = 0xfff;
/** Bytes of the head of a property: type and length. */
export const PROPERTY_HEAD_BYTES = 4;
/** Bytes behind the head of a reserved region: subtype, reserved, first and last address. */
export const RESERVED_BYTES = 20;
/** Subtype of a reserved region: addresses at which a device writes interrupts, which are not translated. */
export const RESERVED_MSI = 1;

/** Bytes of an event (section 5.13.6.9). */
export const EVENT_BYTES = 24;
/** Offset of the flags of an event. */
export const EVENT_FLAGS = 4;
/** Offset of the endpoint of an event. */
export const EVENT_ENDPOINT = 8;
/** Offset of the address of an event. */
export const EVENT_ADDRESS = 16;
/** Flag of an event: its address is known. */
export const EVENT_HAS_ADDRESS = 0x100;
/** Reason of an event, its first byte: unknown. QEMU gives it for an endpoint without a domain too. */
export const REASON_UNKNOWN = 0;
/** The endpoint has no domain. */
export const REASON_DOMAIN = 1;
/** The domain has no mapping for the address, or one that does not permit the access. */
export const REASON_MAPPING = 2;
