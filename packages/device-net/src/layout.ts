/** Bit of `status`. Section 5.1.4. */
export const VIRTIO_NET_S_LINK_UP = 1;

/** Bytes in front of every packet, with `num_buffers` where it exists. Section 5.1.6. */
export const NET_HEADER_SIZE = 12;
/** On the legacy interface without MRG_RXBUF there is no `num_buffers`. Section 5.1.6.1. */
export const NET_LEGACY_HEADER_SIZE = 10;
/** Where `num_buffers` is in the header. */
export const NET_NUM_BUFFERS = 10;

/** Longest packet that the halves of this package take, without its header. */
export const NET_LONGEST_PACKET = 65_535;
/** Fewest bytes of a receive buffer that takes a whole packet without offloads, with its header. Section 5.1.6.3.1. */
export const NET_RECEIVE_BUFFER = 1526;

/** A command: class, command, its data; and the acknowledgement. Section 5.1.6.5. */
export const NET_COMMAND_SIZE = 2;
/** Acknowledgement of a control command: done. Section 5.1.6.5. */
export const VIRTIO_NET_OK = 0;
/** Acknowledgement of a control command: failed. Section 5.1.6.5. */
export const VIRTIO_NET_ERR = 1;
/** Section 5.1.6.5.5. */
export const VIRTIO_NET_CTRL_MQ = 4;
/** Command of the class MQ: sets the number of queue pairs. Section 5.1.6.5.5. */
export const VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET = 0;
/** Most pairs of queues that the device of this package has. */
export const NET_MAX_QUEUE_PAIRS = 15;
