/**
 * Feature negotiation, the DMA-mapping contract, the virtqueue and the plugin contracts of virtio-platform.
 *
 * @packageDocumentation
 */
export * from './errors/index.ts';
export * from './platform/available-request.ts';
export * from './platform/device-type.ts';
export * from './platform/config-table.ts';
export * from './platform/conform/bench-memory.ts';
export * from './platform/conform/case-group.ts';
export * from './platform/conform/clause.ts';
export * from './platform/conform/conform-bench.ts';
export * from './platform/conform/conform-case.ts';
export * from './platform/conform/feed-ring.ts';
export * from './platform/conform/offers-feature.ts';
export * from './platform/conform/conform-ring.ts';
export * from './platform/conform/good-request.ts';
export * from './platform/conform/request-model.ts';
export * from './platform/conform/returns-nothing.ts';
export * from './platform/conform/started-case.ts';
export * from './platform/container.ts';
export * from './platform/device-hosts.ts';
export * from './platform/device-model.ts';
export * from './platform/driver-half.ts';
export * from './platform/iommu-platform.ts';
export * from './platform/machine.ts';
export * from './platform/requested-machine.ts';
export * from './platform/misbehaving-model.ts';
export * from './platform/open-model.ts';
export * from './platform/workload.ts';
export * from './platform/options-schema.ts';
export * from './platform/plain-device-rule.ts';
export * from './platform/platform.ts';
export * from './platform/plugin.ts';
export * from './platform/tokens.ts';
