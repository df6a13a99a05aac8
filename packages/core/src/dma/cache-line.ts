/**
 * Bytes of a cache line, the largest that is common. What a device writes should share no line with anything else: a processor that is
 * not coherent with the device could write back an old one, and lose one or the other (Linux core-api/dma-api.rst).
 */
export const CACHE_LINE_SIZE = 64;
