import { CodedError, type QemuDevice } from '@virtio-platform/core';
import type { ConsoleSettings } from './console-settings.ts';
import { type ConsolePortSettings, portName } from './port-settings.ts';

/** What QEMU's device does not have. */
function refuse(problem: string, hint: string): never {
  throw new CodedError('ERR_MACHINE_DEVICE', problem, { hint });
}

/** The properties of a port of QEMU: a virtconsole, or a virtserialport, which is no console. */
function portProperties(port: ConsolePortSettings, line: string): Record<string, unknown> {
  const name = portName(port);
  const driver = port.console ? 'virtconsole' : 'virtserialport';
  return { driver, id: `port${line}`, bus: 'serial.0', nr: port.id, chardev: line, ...(name === '' ? {} : { name }) };
}

/**
 * QEMU's ports give back what is written to them, as those of the device half do. QEMU 7.2 has no size of a console.
 */
export const qemuConsole: QemuDevice<ConsoleSettings> = {
  arguments({ ports, maxPorts, changes }, resources) {
    const first = ports.find(({ id }) => id === 0);
    if (first?.console === false)
      refuse('port 0 of QEMU’s device is a console', 'give the port that is no console another number than 0');
    if (changes.length > 0)
      refuse('the ports of QEMU’s device change through its monitor', 'leave changes out of the device section');
    const lines = ports.map((port, index) => [
      '-chardev',
      `pipe,id=line${index},path=/proc/self/fd/${resources.loopback('stream')}`,
      '-device',
      JSON.stringify(portProperties(port, `line${index}`)),
    ]);
    return { device: { driver: 'virtio-serial-pci', id: 'serial', max_ports: maxPorts }, after: lines.flat() };
  },
};
