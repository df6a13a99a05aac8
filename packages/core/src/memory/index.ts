/** Guest memory, allocators and byte sizes. @packageDocumentation */
export * from './byte-size.ts';
export * from './guest-memory.ts';
export * from './kept-pages.ts';
export * from './leak-log.ts';
export * from './memory-conversion.ts';
export * from './memory-size.ts';
export * from './page-allocator.ts';
export * from './page-states.ts';
export * from './range-allocator.ts';
export * from './wide-bytes.ts';
