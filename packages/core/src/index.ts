/**
 * Feature negotiation, the DMA-mapping contract, the virtqueue and the plugin contracts of virtio-platform.
 *
 * @packageDocumentation
 */
export * from './address-space/copy-bytes.ts';
export * from './address-space/device-address-space.ts';
export * from './address-space/fault-log.ts';
export { PHYSICAL_ADDRESS_SPACE } from './address-space/physical-address-space.ts';
export * from './address-space/translated-address-space.ts';
export * from './device/device-status.ts';
export * from './device/initialize-device.ts';
export * from './device/read-device-config.ts';
export * from './device/reset-device.ts';
export * from './device/transport.ts';
export * from './dma/bounce/bounce-pool.ts';
export * from './dma/bounce/bounced-dma-mapping.ts';
export * from './dma/direct-dma-mapping.ts';
export * from './dma/dma-direction.ts';
export * from './dma/dma-mapping.ts';
export * from './dma/dma-path.ts';
export * from './dma/dma-region.ts';
export * from './dma/mapping-table.ts';
export * from './dma/probe-identity.ts';
export * from './errors/coded-error.ts';
export * from './features/feature-bit.ts';
export * from './features/feature-dependencies.ts';
export * from './features/feature-name.ts';
export * from './features/feature-set.ts';
export * from './memory/byte-size.ts';
export * from './memory/guest-memory.ts';
export * from './memory/range-allocator.ts';
export * from './negotiation/core-rules.ts';
export * from './negotiation/negotiate.ts';
export * from './negotiation/negotiation.ts';
export * from './negotiation/platform-traits.ts';
export * from './platform/inject.ts';
export * from './platform/machine.ts';
export * from './platform/options-schema.ts';
export * from './platform/platform.ts';
export * from './platform/plugin.ts';
export * from './platform/tokens.ts';
export * from './queue/big-endian-split-ring.ts';
export * from './queue/broken-reason.ts';
export * from './queue/byte-order.ts';
export * from './queue/descriptor-chain.ts';
export * from './queue/descriptor-table.ts';
export * from './queue/device-queue.ts';
export * from './queue/notification.ts';
export * from './queue/open-split-ring.ts';
export * from './queue/scatter-list.ts';
export * from './queue/split-device-queue.ts';
export * from './queue/split-layout.ts';
export * from './queue/split-ring.ts';
export * from './queue/split-virtqueue.ts';
export * from './queue/used-batch.ts';
export * from './queue/virtqueue.ts';
