/**
 * How strict the simulated hypervisor is. `qemu` is hw/ppc/spapr_iommu.c: a misaligned bus address is rounded down, entries are stored
 * verbatim, and a call that fails half-way has done the first half. `kvm` is book3s_64_vio.c, and PowerVM: everything is checked
 * before anything is changed, the bus address is at a page, an entry with permissions points at a page of memory and has no other
 * bits, and H_STUFF_TCE only takes permissions away. KVM hands some of what it does not take to its userspace; here it is refused.
 */
export const HYPERVISORS = ['qemu', 'kvm'] as const;
export type Hypervisor = (typeof HYPERVISORS)[number];

/**
 * The windows a bus has besides the default one. `beside`: one (QEMU). `replace`: one window in all, so the default one has to be removed
 * first, and only a reset or the removal of the other brings it back. `none`: the firmware does not know the calls.
 */
export const DYNAMIC_WINDOWS = ['beside', 'replace', 'none'] as const;
export type DynamicWindows = (typeof DYNAMIC_WINDOWS)[number];
