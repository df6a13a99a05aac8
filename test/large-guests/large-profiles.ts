const SIMULATED = '"@virtio-platform/machine-simulated"';
const QEMU = '"@virtio-platform/machine-qemu"';
const PSERIES = '"@virtio-platform/platform-pseries"';
const INTEL = '"@virtio-platform/platform-intel-iommu"';
const PLAIN = 'offers: [VERSION_1, RING_EVENT_IDX, BLK_SEG_MAX]';
const BEHIND = 'offers: [VERSION_1, ACCESS_PLATFORM, RING_PACKED, RING_EVENT_IDX, RING_INDIRECT_DESC, BLK_SEG_MAX]';

const NARROW = `dmaBits: 32, ${BEHIND}`;

/** A run of a guest with more than 4 GiB: a name, its sections but the workload, and what has to be installed. */
export interface LargeProfile {
  readonly name: string;
  readonly needs: 'nothing' | 'qemu' | 'qemu-storage-daemon';
  readonly sections: string;
}

/** Large guests of each platform on the embedded machine, of each board of QEMU, and over vhost-user. */
export const LARGE_PROFILES: readonly LargeProfile[] = [
  embedded('legacy', '{ use: "@virtio-platform/platform-legacy" }', PLAIN),
  embedded('pseries-linear', `{ use: ${PSERIES}, window: { kind: ddw, mapping: linear } }`),
  embedded('pseries-dynamic', `{ use: ${PSERIES}, window: { kind: default, mapping: dynamic } }`),
  // Its window reaches 1 GiB: the buffers are below.
  embedded('pseries-identity', `{ use: ${PSERIES}, window: { kind: default, mapping: identity } }`),
  embedded('sev', '{ use: "@virtio-platform/platform-sev" }'),
  embedded('intel-iommu', `{ use: ${INTEL} }`),
  embedded('intel-iommu-identity', `{ use: ${INTEL}, domain: identity }`),
  embedded('vfio', '{ use: "@virtio-platform/platform-vfio" }\ndriver: { privilege: process }'),
  onQemu('pc', 'board: pc, memory: 5GiB', '{ use: "@virtio-platform/platform-legacy" }', PLAIN),
  onQemu('q35', 'board: q35, memory: 8GiB', '{ use: "@virtio-platform/platform-legacy" }', PLAIN),
  onQemu('q35-intel-iommu', 'board: q35, iommu: intel, memory: 8GiB', `{ use: ${INTEL} }`),
  onQemu('q35-pass-through', 'board: q35, iommu: intel, memory: 8GiB', `{ use: ${INTEL}, domain: pass-through }`),
  onQemu('q35-identity', 'board: q35, iommu: intel, memory: 5GiB', `{ use: ${INTEL}, domain: identity }`),
  // Buffers lie above 4 GiB, and are copied below for a device that does not reach them.
  onQemu('q35-narrow', 'board: q35, memory: 8GiB', '{ use: "@virtio-platform/platform-legacy" }', NARROW),
  onQemu('pseries-linear', 'board: pseries, memory: 8GiB', `{ use: ${PSERIES}, window: { kind: ddw } }`),
  onQemu('pseries-dynamic', 'board: pseries, memory: 8GiB', `{ use: ${PSERIES}, window: { kind: default } }`),
  overVhostUser('physical', '{ use: "@virtio-platform/platform-legacy" }', PLAIN),
  overVhostUser('narrow', '{ use: "@virtio-platform/platform-legacy" }', NARROW),
  overVhostUser('pseries-linear', `{ use: ${PSERIES}, window: { kind: ddw, mapping: linear, pageSize: 64KiB } }`),
  overVhostUser('vfio', '{ use: "@virtio-platform/platform-vfio" }\ndriver: { privilege: process }'),
];

function embedded(name: string, platform: string, offers = BEHIND): LargeProfile {
  const machine = `{ use: ${SIMULATED}, memory: 5GiB }`;
  return { name: `embedded-${name}`, needs: 'nothing', sections: sections(platform, machine, offers) };
}

function onQemu(name: string, options: string, platform: string, offers = BEHIND): LargeProfile {
  const machine = `{ use: ${QEMU}, ${options} }`;
  return { name: `qemu-${name}`, needs: 'qemu', sections: sections(platform, machine, offers) };
}

function overVhostUser(name: string, platform: string, offers = BEHIND): LargeProfile {
  const machine = `
  use: "@virtio-platform/machine-vhost-user"
  memory: 6GiB
  command:
    - qemu-storage-daemon
    - --blockdev
    - driver=file,node-name=file,filename={image}
    - --blockdev
    - driver=raw,node-name=disk,file=file
    - --export
    - type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path={socket},writable=on`;
  return { name: `vhost-user-${name}`, needs: 'qemu-storage-daemon', sections: sections(platform, machine, offers) };
}

function sections(platform: string, machine: string, offers: string): string {
  return `platform: ${platform}\nmachine: ${machine}\ndevice: { type: block, capacity: 16MiB, ${offers} }\n`;
}
