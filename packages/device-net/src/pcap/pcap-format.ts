/**
 * The classic pcap format, as libpcap writes it (draft-ietf-opsawg-pcap): one header, then records of a header and the
 * bytes of a frame, all in the byte order of the machine that wrote it.
 */

/** First word of a file whose times have microseconds. */
export const PCAP_MICROSECONDS = 0xa1b2_c3d4;
/** First word of a file whose times have nanoseconds. */
export const PCAP_NANOSECONDS = 0xa1b2_3c4d;
/** First word of the other format, pcapng. */
export const PCAPNG_SECTION = 0x0a0d_0d0a;
/** Bytes of the header of a file. */
export const PCAP_HEADER = 24;
/** Bytes of the header of a record. */
export const PCAP_RECORD = 16;
/** The format: 2.4 since 1998. */
export const PCAP_MAJOR = 2;
/** See {@link PCAP_MAJOR}. */
export const PCAP_MINOR = 4;
/** Frames of Ethernet. */
export const LINKTYPE_ETHERNET = 1;
/** The most bytes of a frame that libpcap takes (MAXIMUM_SNAPLEN). */
export const MOST_CAPTURED = 262_144;
