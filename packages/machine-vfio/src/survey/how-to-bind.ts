import type { SysPciDevice } from './sys-pci-device.ts';

const DEVICES = '/sys/bus/pci/devices';

/**
 * The command that gives a device to vfio-pci, from whatever has it: only this one device, until the next boot (Linux
 * Documentation/ABI/testing/sysfs-bus-pci, driver_override).
 */
export function howToBind({ address, driver }: SysPciDevice): string {
  const folder = `${DEVICES}/${address}`;
  const steps = [`echo vfio-pci | sudo tee ${folder}/driver_override`];
  if (driver !== undefined) steps.push(`echo ${address} | sudo tee ${folder}/driver/unbind`);
  steps.push(`echo ${address} | sudo tee /sys/bus/pci/drivers_probe`);
  return steps.join(' && ');
}
