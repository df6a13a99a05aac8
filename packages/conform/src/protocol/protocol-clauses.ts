import type { Clause } from '@virtio-platform/core';

function clause(heading: string, level: Clause['level'], requires: string): Clause {
  return { section: `vhost-user: ${heading}`, level, requires };
}

/** What the vhost-user document requires of a back-end, by its headings. */
export const PROTOCOL_CLAUSES: readonly Clause[] = [
  clause('Header', 'text', 'version, reply flag and size of messages'),
  clause('Virtio device config space', 'text', 'offset and size in front of the configuration'),
  clause('Communication', 'text', 'the messages that have a reply, and those with descriptors'),
  clause('Front-end message types', 'text', 'no request but those of the list'),
  clause(
    'Ring states',
    'MUST',
    'no work on a ring that is stopped; rings that start enabled without protocol features',
  ),
  clause('Memory access', 'text', 'user addresses of rings, guest addresses of buffers'),
  clause('Migration', 'text', 'a dirty log that covers the memory'),
  clause('Inflight I/O tracking', 'text', 'buffers in flight, which the next back-end serves again'),
  clause('In-band notifications', 'SHOULD', 'not without REPLY_ACK and BACKEND_REQ'),
  clause('Protocol features', 'text', 'the bits that have a meaning'),
  clause('REPLY_ACK', 'MUST', 'an answer to each command that asks for one'),
  clause('GET_FEATURES', 'text', 'the offer'),
  clause('SET_FEATURES', 'text', 'what is accepted'),
  clause('GET_PROTOCOL_FEATURES', 'MUST', 'an answer before SET_FEATURES'),
  clause('SET_PROTOCOL_FEATURES', 'MUST', 'a choice before SET_FEATURES'),
  clause('SET_OWNER', 'text', 'the start of a session'),
  clause('RESET_OWNER', 'text', 'ignored, or rings that are disabled'),
  clause('SET_MEM_TABLE', 'text', 'regions with a descriptor each, also while rings run'),
  clause('SET_LOG_BASE', 'text', 'the file of the dirty log'),
  clause('SET_VRING_NUM', 'text', 'the size of a ring'),
  clause('SET_VRING_ADDR', 'text', 'the areas of a ring'),
  clause('SET_VRING_BASE', 'text', 'where a ring starts'),
  clause('GET_VRING_BASE', 'text', 'where it stopped'),
  clause('SET_VRING_KICK', 'text', 'the descriptor of kicks, or polling'),
  clause('SET_VRING_CALL', 'text', 'the descriptor of notifications, or none'),
  clause('SET_VRING_ERR', 'text', 'the descriptor of errors, or none'),
  clause('GET_QUEUE_NUM', 'text', 'the number of queues'),
  clause('SET_VRING_ENABLE', 'text', 'rings that are disabled and enabled'),
  clause('SET_BACKEND_REQ_FD', 'text', 'the back channel'),
  clause('IOTLB_MSG', 'text', 'entries of the device IOTLB'),
  clause('GET_CONFIG', 'MUST', 'as many bytes of configuration as were asked for'),
  clause('SET_CONFIG', 'MUST', 'no write to a read-only field'),
  clause('GET_INFLIGHT_FD', 'text', 'in-flight memory'),
  clause('SET_INFLIGHT_FD', 'text', 'in-flight memory of the back-end before'),
  clause('RESET_DEVICE', 'text', 'rings that are disabled, and a device in its first state'),
  clause('GET_MAX_MEM_SLOTS', 'text', 'the number of regions'),
  clause('ADD_MEM_REG', 'MUST', 'memory that comes'),
  clause('REM_MEM_REG', 'MUST', 'memory that goes'),
  clause('SET_STATUS', 'text', 'the device status of the driver'),
  clause('GET_STATUS', 'text', 'the device status'),
];
