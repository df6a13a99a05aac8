/**
 * Every error code of the packages of virtio-platform, in the order of `docs/errors.md`, which has a heading for each.
 */
export const ERROR_CODES = [
  // Profiles
  'ERR_PROFILE_NOT_FOUND',
  'ERR_PROFILE_SYNTAX',
  'ERR_PROFILE_INVALID',
  'ERR_PROFILE_MATRIX',
  'ERR_PROFILE_EXTENDS',
  // Plugins
  'ERR_PLUGIN_NOT_FOUND',
  'ERR_PLUGIN_INVALID',
  'ERR_PLUGIN_API_VERSION',
  'ERR_PLUGIN_OPTIONS',
  'ERR_PLUGIN_FACILITY',
  'ERR_PLUGIN_TRANSPORT',
  'ERR_PLUGIN_MISSING_BINDING',
  'ERR_PLUGIN_HOOK',
  'ERR_PLUGIN_CONTRACT',
  'ERR_PLUGIN_TIMEOUT',
  'ERR_PLUGIN_EXIT',
  'ERR_PLUGIN_OUTSIDE',
  'ERR_PLUGIN_PROGRAM',
  // Machines
  'ERR_MACHINE_MISSING',
  'ERR_MACHINE_START',
  'ERR_MACHINE_BACK_END',
  'ERR_MACHINE_INTERFACE',
  'ERR_MACHINE_MEMORY',
  'ERR_MACHINE_DEVICE',
  'ERR_MACHINE_TRACE',
  'ERR_HOST_UNSUPPORTED',
  'ERR_SYSCALL',
  // Devices
  'ERR_DEVICE_LOST',
  'ERR_DEVICE_STALLED',
  'ERR_DEVICE_NEEDS_RESET',
  'ERR_DEVICE_FROZEN',
  'ERR_DEVICE_RESET_TIMEOUT',
  'ERR_DEVICE_SUSPEND_TIMEOUT',
  'ERR_DEVICE_CONFIG_UNSTABLE',
  'ERR_DEVICE_CONFIG',
  'ERR_DEVICE_IMAGE',
  'ERR_DEVICE_CAPTURE',
  'ERR_DEVICE_REFUSED',
  'ERR_DRIVER_REQUEST',
  'ERR_DEVICE_IMPOSSIBLE',
  'ERR_DEVICE_RING_UNREACHABLE',
  'ERR_DEVICE_TOO_SMALL',
  'ERR_DEVICE_BLOCK_SIZE',
  'ERR_DEVICE_READ_ONLY',
  'ERR_FEATURE_REQUIRED',
  'ERR_QUEUE_TOO_SMALL',
  'ERR_QUEUE_STATE',
  'ERR_QUEUE_BROKEN',
  'ERR_NOTIFICATION_MISSED',
  'ERR_DESCRIPTOR_CHANGED',
  'ERR_DEVICE_REQUEST',
  // DMA
  'ERR_DMA_EXHAUSTED',
  'ERR_DMA_RANGE',
  'ERR_DMA_WINDOW',
  'ERR_IOMMU_UNSUPPORTED',
  'ERR_IOMMU_UNRESPONSIVE',
  // Traces
  'ERR_TRACE_FILE',
  // Programs that use a device
  'ERR_CLIENT_DEVICE',
  'ERR_CLIENT_REFUSED',
  'ERR_CLIENT_CLOSED',
  'ERR_CLIENT_FULL',
  // Conform
  'ERR_CONFORM_DEVICE',
  'ERR_CONFORM_TARGET',
  'ERR_CONFORM_CASE',
  'ERR_CONFORM_OPERATIONS',
  // What a command is asked for
  'ERR_RUN_FILTER',
  'ERR_RUN_REPEAT',
  'ERR_RUN_REPORT',
  'ERR_RUN_BLOB',
  'ERR_RUN_MERGE',
  // New packages
  'ERR_NEW_NAME',
  'ERR_NEW_FOLDER',
  // Words of the command
  'ERR_EXPLAIN_UNKNOWN',
  'ERR_MATRIX_FILE',
  // What a command writes
  'ERR_REPORT_FILE',
  // Mistakes in the program
  'ERR_INTERNAL',
] as const;

/**
 * The code of an error: one of {@link ERROR_CODES}, or, from a plugin outside of this repository, one that starts with
 * `ERR_X_`. No package of virtio-platform has such a code, so the two never collide.
 */
export type ErrorCode = (typeof ERROR_CODES)[number] | `ERR_X_${string}`;
