import { DeviceError } from '@virtio-platform/core';
import {
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  type FeatureSet,
} from '@virtio-platform/core/features';
import { notificationValue } from '@virtio-platform/core/queue';
import { listCapabilities } from './configuration-space.ts';
import { RegisterWindow, type AccessWidth, type PciFunction } from './pci-function.ts';

const VENDOR_SPECIFIC = 9;
/** Bytes of struct virtio_pci_cap, and of struct virtio_pci_notify_cap, which adds the multiplier. */
const CAPABILITY_BYTES = 16;
const NOTIFY_CAPABILITY_BYTES = 20;

/** The types of capabilities that describe registers (cfg_type). */
const TYPE = { common: 1, notify: 2, isr: 3, device: 4 } as const;
/**
 * Bytes of the common configuration up to queue_device, which every device has. Later features add registers behind
 * them.
 */
const COMMON_BYTES = 0x38;
/** Registers of the selected queue in the common configuration. */
const QUEUE_NOTIFY_OFF = 0x1e;
const QUEUE_NOTIF_CONFIG_DATA = 0x38;

/** The register windows of a modern function (specification 1.4 section 4.1.4). */
export interface VirtioRegisters {
  readonly common: RegisterWindow;
  readonly notify: RegisterWindow;
  /** Bytes between the notification registers of two consecutive values of queue_notify_off. */
  readonly notifyMultiplier: number;
  readonly isr: RegisterWindow;
  /** `undefined` where the device has no configuration. */
  readonly device: RegisterWindow | undefined;
}

/**
 * Finds the registers of a modern function by its capabilities. Of several capabilities of one type the first that this
 * driver can use counts (section 4.1.4.1). Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where a required capability
 * is missing, or where a capability describes registers that the function does not map.
 */
export function findVirtioRegisters(pci: PciFunction): VirtioRegisters {
  const found = new Map<number, RegisterWindow>();
  let notifyMultiplier = 0;
  for (const { id, offset, maxLength } of listCapabilities(pci)) {
    if (id !== VENDOR_SPECIFIC) continue;
    const type = pci.readConfig(offset + 3, 1);
    if (type < TYPE.common || type > TYPE.device || found.has(type)) continue;
    if (maxLength < (type === TYPE.notify ? NOTIFY_CAPABILITY_BYTES : CAPABILITY_BYTES)) continue;
    // Other values are reserved: a driver has to ignore such a capability.
    const bar = pci.readConfig(offset + 4, 1);
    if (bar > 5) continue;
    const at = pci.readConfig(offset + 8, 4);
    const length = pci.readConfig(offset + 12, 4);
    found.set(type, new RegisterWindow(pci, `registers of type ${type}`, bar, at, length));
    if (type === TYPE.notify) notifyMultiplier = pci.readConfig(offset + CAPABILITY_BYTES, 4);
  }
  const registers = {
    common: required(pci, found.get(TYPE.common), 'common configuration', COMMON_BYTES, 4),
    notify: required(pci, found.get(TYPE.notify), 'notification registers', 2, 2),
    notifyMultiplier,
    isr: required(pci, found.get(TYPE.isr), 'ISR status', 1, 1),
    device: found.get(TYPE.device),
  };
  // Section 4.1.4.4.1: 0, or a power of two of at least 2.
  if (notifyMultiplier !== 0 && (notifyMultiplier % 2 !== 0 || (notifyMultiplier & (notifyMultiplier - 1)) !== 0))
    throw new DeviceError('ERR_DEVICE_CONFIG', `${pci.name} has the notify_off_multiplier ${notifyMultiplier}`);
  return registers;
}

/** `width` is the width of the widest register: the window has to be aligned to it. */
function required(
  pci: PciFunction,
  window: RegisterWindow | undefined,
  what: string,
  bytes: number,
  width: AccessWidth,
): RegisterWindow {
  if (window !== undefined && window.length >= bytes && window.isAligned(0, width)) return window;
  const problem = `${pci.name} has no ${what} of at least ${bytes} bytes, aligned to ${width}`;
  throw new DeviceError('ERR_DEVICE_CONFIG', problem, {
    hint: 'a device with the legacy interface alone needs driver.interface: legacy',
  });
}

/** The notification registers of a modern function: one for each queue, and the value to write (section 4.1.5.2). */
export class NotificationRegisters {
  readonly #name: string;
  readonly #registers: VirtioRegisters;
  /** By queue: the offset of its register, and the number that the device has for the queue. */
  readonly #offsets: Uint32Array;
  readonly #identities: Uint16Array;
  #withData = false;

  /** `name` is the name of the function in messages. */
  constructor(name: string, registers: VirtioRegisters, queues: number) {
    this.#name = name;
    this.#registers = registers;
    this.#offsets = new Uint32Array(queues);
    this.#identities = new Uint16Array(queues);
  }

  /**
   * Reads the place of the register of `queue`, which the caller has selected. Throws {@link DeviceError}
   * `ERR_DEVICE_CONFIG` where the register is outside of the window or not aligned.
   */
  locateSelected(queue: number, accepted: FeatureSet): void {
    const { common, notify, notifyMultiplier } = this.#registers;
    this.#withData = accepted.has(VIRTIO_F_NOTIFICATION_DATA);
    const width = this.#withData ? 4 : 2;
    const offset = common.read(QUEUE_NOTIFY_OFF, 2) * notifyMultiplier;
    if (offset + width > notify.length || !notify.isAligned(offset, width)) {
      const register = `the notification register of queue ${queue}, ${width} bytes,`;
      throw new DeviceError('ERR_DEVICE_CONFIG', `${this.#name} has ${register} at ${offset} of ${notify.length}`);
    }
    this.#offsets[queue] = offset;
    const hasIdentity = accepted.has(VIRTIO_F_NOTIF_CONFIG_DATA);
    this.#identities[queue] = hasIdentity ? common.read(QUEUE_NOTIF_CONFIG_DATA, 2) : queue;
  }

  /** Hot: no allocation. */
  notify(queue: number, next: number): void {
    const value = notificationValue(this.#identities[queue]!, next, this.#withData);
    this.#registers.notify.write(this.#offsets[queue]!, this.#withData ? 4 : 2, value);
  }
}
