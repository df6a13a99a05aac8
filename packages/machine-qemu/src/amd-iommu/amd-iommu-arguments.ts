/**
 * The arguments of QEMU's AMD IOMMU, whose other properties change nothing that a driver sees. It does not remap
 * interrupts: the machine has no interrupt controller.
 */
export const AMD_IOMMU_ARGUMENTS: readonly string[] = [
  '-device',
  JSON.stringify({ driver: 'amd-iommu', intremap: 'off' }),
];
