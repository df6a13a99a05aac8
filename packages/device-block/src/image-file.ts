export { checkImage, openImage, type ImageOptions } from '@virtio-platform/device-kit';
