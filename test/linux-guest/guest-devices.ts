import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** How a device of a VFIO guest stands towards the IOMMU. */
const CONFINED = 'iommu_platform=on';

/** QEMU's arguments for an empty disk of `bytes`, whose image is in `folder` under its name. */
export function guestDisk(
  folder: string,
  disk: { readonly name: string; readonly slot: string; readonly bytes: number; readonly isConfined?: boolean },
): string[] {
  const { name, slot, bytes, isConfined = true } = disk;
  const image = join(folder, `${name}.img`);
  writeFileSync(image, '');
  truncateSync(image, bytes);
  const node = ['-blockdev', `driver=file,filename=${image},node-name=${name}`];
  const access = isConfined ? CONFINED : 'iommu_platform=off';
  return [...node, '-device', `virtio-blk-pci,drive=${name},addr=0x${slot},disable-legacy=on,packed=on,${access}`];
}

/** For a network that gives back what it is sent: its socket, in `folder`, is connected to itself. */
export function guestNetwork(folder: string, slot: string): string[] {
  const socket = join(folder, 'network');
  const network = `local.type=unix,local.path=${socket},remote.type=unix,remote.path=${socket}`;
  const device = `virtio-net-pci,netdev=network,addr=0x${slot},romfile=,disable-legacy=on,packed=on,${CONFINED}`;
  return ['-netdev', `dgram,id=network,${network}`, '-device', device];
}

/** For a source of random bytes. */
export function guestEntropy(slot: string): string[] {
  return ['-device', `virtio-rng-pci,addr=0x${slot},disable-legacy=on,packed=on,${CONFINED}`];
}
