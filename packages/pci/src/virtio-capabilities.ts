import { DeviceError } from '@virtio-platform/core';
import { capabilities } from './pci-capabilities.ts';
import type { AccessWidth, PciFunction } from './pci-function.ts';
import { RegisterWindow } from './register-window.ts';

const VENDOR_SPECIFIC = 9;
/** Bytes of struct virtio_pci_cap, and with the multiplier that the one of notifications has behind it. */
const CAPABILITY_BYTES = 16;
const NOTIFY_CAPABILITY_BYTES = 20;

const COMMON = 1;
const NOTIFY = 2;
const ISR = 3;
const DEVICE = 4;

/** Bytes of the common configuration up to queue_device, which every device has; what came with later features follows. */
const COMMON_BYTES = 0x38;

/** Where a modern function has its registers (specification 1.4 section 4.1.4). */
export interface VirtioRegisters {
  readonly common: RegisterWindow;
  readonly notify: RegisterWindow;
  /** Bytes between the notification registers of two values of queue_notify_off. */
  readonly notifyMultiplier: number;
  readonly isr: RegisterWindow;
  /** `undefined` where the device has no configuration. */
  readonly device: RegisterWindow | undefined;
}

/**
 * Finds the registers of a modern function by its capabilities: of several of a kind the first that is for this driver
 * (section 4.1.4.1). Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where one that it must have is not there, and where one
 * is said to be what the function does not map.
 */
export function findVirtioRegisters(pci: PciFunction): VirtioRegisters {
  const found = new Map<number, RegisterWindow>();
  let notifyMultiplier = 0;
  for (const { id, offset, room } of capabilities(pci)) {
    if (id !== VENDOR_SPECIFIC) continue;
    const type = pci.readConfig(offset + 3, 1);
    if (type < COMMON || type > DEVICE || found.has(type)) continue;
    if (room < (type === NOTIFY ? NOTIFY_CAPABILITY_BYTES : CAPABILITY_BYTES)) continue;
    // Reserved values are for the future: such a capability is not for this driver.
    const bar = pci.readConfig(offset + 4, 1);
    if (bar > 5) continue;
    const at = pci.readConfig(offset + 8, 4);
    const length = pci.readConfig(offset + 12, 4);
    found.set(type, new RegisterWindow(pci, `registers of type ${type}`, bar, at, length));
    if (type === NOTIFY) notifyMultiplier = pci.readConfig(offset + CAPABILITY_BYTES, 4);
  }
  const registers = {
    common: needed(pci, found.get(COMMON), 'common configuration', COMMON_BYTES, 4),
    notify: needed(pci, found.get(NOTIFY), 'notification registers', 2, 2),
    notifyMultiplier,
    isr: needed(pci, found.get(ISR), 'ISR status', 1, 1),
    device: found.get(DEVICE),
  };
  // Section 4.1.4.4.1: 0, or a power of two of at least 2.
  if (notifyMultiplier !== 0 && (notifyMultiplier % 2 !== 0 || (notifyMultiplier & (notifyMultiplier - 1)) !== 0))
    throw new DeviceError('ERR_DEVICE_CONFIG', `${pci.name} says notify_off_multiplier ${notifyMultiplier}`);
  return registers;
}

/** `width` is that of the widest register, which the window has to be aligned to. */
function needed(
  pci: PciFunction,
  window: RegisterWindow | undefined,
  what: string,
  bytes: number,
  width: AccessWidth,
): RegisterWindow {
  if (window !== undefined && window.length >= bytes && window.isAligned(0, width)) return window;
  throw new DeviceError(
    'ERR_DEVICE_CONFIG',
    `${pci.name} has no ${what} of at least ${bytes} bytes, aligned to ${width}`,
    {
      hint: 'a device with the legacy interface alone needs driver.interface: legacy',
    },
  );
}
