import type { AccessWidth } from '@virtio-platform/core/device';

/** A register of the common configuration structure (specification 1.4 section 4.1.4.3). */
export interface CommonRegister {
  readonly name: string;
  readonly offset: number;
  /** Its natural width, in bytes. The registers of 64 bits are two of 32. */
  readonly width: AccessWidth;
  readonly isWritable: boolean;
  /** Whether it is one of the queue that queue_select names. */
  readonly isOfQueue: boolean;
}

function register(
  name: string,
  offset: number,
  width: AccessWidth,
  how: 'rw' | 'ro',
  isOfQueue = false,
): CommonRegister {
  return { name, offset, width, isWritable: how === 'rw', isOfQueue };
}

/** The registers, as {@link COMMON} names them. */
export type CommonName =
  | 'deviceFeatureSelect'
  | 'deviceFeature'
  | 'driverFeatureSelect'
  | 'driverFeature'
  | 'configVector'
  | 'numQueues'
  | 'status'
  | 'generation'
  | 'queueSelect'
  | 'queueSize'
  | 'queueVector'
  | 'queueEnable'
  | 'queueNotifyOff'
  | 'descriptorLow'
  | 'descriptorHigh'
  | 'driverLow'
  | 'driverHigh'
  | 'deviceLow'
  | 'deviceHigh'
  | 'notifyData'
  | 'queueReset';

/** The registers of the common configuration by name. */
export const COMMON: Readonly<Record<CommonName, CommonRegister>> = {
  deviceFeatureSelect: register('device_feature_select', 0x00, 4, 'rw'),
  deviceFeature: register('device_feature', 0x04, 4, 'ro'),
  driverFeatureSelect: register('driver_feature_select', 0x08, 4, 'rw'),
  driverFeature: register('driver_feature', 0x0c, 4, 'rw'),
  configVector: register('config_msix_vector', 0x10, 2, 'rw'),
  numQueues: register('num_queues', 0x12, 2, 'ro'),
  status: register('device_status', 0x14, 1, 'rw'),
  generation: register('config_generation', 0x15, 1, 'ro'),
  queueSelect: register('queue_select', 0x16, 2, 'rw'),
  queueSize: register('queue_size', 0x18, 2, 'rw', true),
  queueVector: register('queue_msix_vector', 0x1a, 2, 'rw', true),
  queueEnable: register('queue_enable', 0x1c, 2, 'rw', true),
  queueNotifyOff: register('queue_notify_off', 0x1e, 2, 'ro', true),
  descriptorLow: register('queue_desc-low', 0x20, 4, 'rw', true),
  descriptorHigh: register('queue_desc-high', 0x24, 4, 'rw', true),
  driverLow: register('queue_driver-low', 0x28, 4, 'rw', true),
  driverHigh: register('queue_driver-high', 0x2c, 4, 'rw', true),
  deviceLow: register('queue_device-low', 0x30, 4, 'rw', true),
  deviceHigh: register('queue_device-high', 0x34, 4, 'rw', true),
  notifyData: register('queue_notif_config_data', 0x38, 2, 'ro', true),
  queueReset: register('queue_reset', 0x3a, 2, 'rw', true),
};

/** All registers, in their order. */
export const COMMON_REGISTERS: readonly CommonRegister[] = Object.values(COMMON);

/** The six words of the addresses of a queue's areas. */
export const AREA_REGISTERS: readonly CommonRegister[] = COMMON_REGISTERS.filter(
  ({ offset }) => offset >= COMMON.descriptorLow.offset && offset <= COMMON.deviceHigh.offset,
);

/** The value of a vector register that maps no vector. */
export const NO_VECTOR = 0xffff;
