export { FileBacking, SparseBacking, type BlockBacking } from '@virtio-platform/device-kit';
