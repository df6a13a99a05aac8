/** The DMA-mapping contract and the mappings that every platform can use. @packageDocumentation */
export * from './bounce/bounce-pool.ts';
export * from './bounce/bounced-dma-mapping.ts';
export * from './bounce/bounced-mappings.ts';
export * from './cache-line.ts';
export * from './direct-dma-mapping.ts';
export * from './dma-direction.ts';
export * from './dma-mapping.ts';
export * from './dma-path.ts';
export * from './dma-region.ts';
export * from './forwarding-dma-mapping.ts';
export * from './mapping-table.ts';
export * from './probe-identity.ts';
