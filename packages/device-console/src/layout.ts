/** The queues of port 0 are 0 and 1, whatever was negotiated; with MULTIPORT these two follow. Section 5.3.2. */
export const CONSOLE_CONTROL_RECEIVE = 2;
/** The index of the control transmit queue. Section 5.3.2. */
export const CONSOLE_CONTROL_TRANSMIT = 3;

/** le32 port, le16 event, le16 value; a name follows PORT_NAME. Section 5.3.6.2. */
export const CONSOLE_CONTROL_SIZE = 8;

/** le16 cols, le16 rows: what follows RESIZE. Section 5.3.6.2. */
export const CONSOLE_RESIZE_SIZE = 4;

/** Events of control messages. Section 5.3.6.2. */
export const VIRTIO_CONSOLE_DEVICE_READY = 0;
/** Control event of the device: a port was added. Section 5.3.6.2. */
export const VIRTIO_CONSOLE_DEVICE_ADD = 1;
/** Control event of the device: a port was removed. Section 5.3.6.2. */
export const VIRTIO_CONSOLE_DEVICE_REMOVE = 2;
/** Control event of the driver: the port is ready, 1, or failed, 0. Section 5.3.6.2. */
export const VIRTIO_CONSOLE_PORT_READY = 3;
/** Control event of the device: the port is a console. Section 5.3.6.2. */
export const VIRTIO_CONSOLE_CONSOLE_PORT = 4;
/** Control event of the device: the size of the console. Section 5.3.6.2. */
export const VIRTIO_CONSOLE_RESIZE = 5;
/** Control event of either side: the port is open, 1, or closed, 0. Section 5.3.6.2. */
export const VIRTIO_CONSOLE_PORT_OPEN = 6;
/** Control event of the device: the name of the port. Section 5.3.6.2. */
export const VIRTIO_CONSOLE_PORT_NAME = 7;

/** Most ports of a console here. */
export const CONSOLE_MAX_PORTS = 31;

/** The receive queue of a port; its transmit queue is the next. */
export function consoleReceiveQueue(port: number): number {
  return port === 0 ? 0 : 2 * port + 2;
}
