/** The DMA-mapping contract and the mappings that every platform can use. @packageDocumentation */
export * from './address-range.ts';
export * from './bounce/bounce-pool.ts';
export * from './bounce/bounce-pools.ts';
export * from './bounce/bounced-dma-mapping.ts';
export * from './bounce/bounced-mappings.ts';
export * from './bounce/masked-dma-mapping.ts';
export * from './check-region.ts';
export * from './device-address.ts';
export * from './device-addressing.ts';
export * from './direct-dma-mapping.ts';
export * from './dma-mapping.ts';
export * from './dma-region.ts';
export * from './forwarding-dma-mapping.ts';
export * from './iova-dma-mapping.ts';
export * from './mapping-refusal.ts';
export * from './mapping-table.ts';
export * from './probe-identity.ts';
export { ZeroCopyDmaMapping, type CoherentMemory, type ZeroCopyDmaMappingOptions } from './zero-copy-dma-mapping.ts';
