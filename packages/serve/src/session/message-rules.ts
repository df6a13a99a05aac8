import {
  CONFIG_HEADER_BYTES,
  IN_FLIGHT_MESSAGE_BYTES,
  IOTLB_MESSAGE_BYTES,
  LOG_MESSAGE_BYTES,
  type ProtocolFeatureName,
  type RequestName,
} from '@virtio-platform/vhost-user';

/** What every message of a kind keeps to. */
export interface MessageRule {
  /** Bytes of the payload, at least and at most. */
  readonly bytes: readonly [least: number, most: number];
  /** The most descriptors that come along. */
  readonly descriptors: number;
  /** The protocol feature that it belongs to. */
  readonly needs?: ProtocolFeatureName;
  /** Whether it has an answer of its own, so that none is sent to acknowledge it. */
  readonly isAnswered?: boolean;
}

/** The most regions in one table: as many descriptors as a message has. */
const MOST_REGIONS = 8;
/** The most configuration in one message (VHOST_USER_MAX_CONFIG_SIZE). */
const MOST_CONFIG = 256;

const EMPTY: MessageRule = { bytes: [0, 0], descriptors: 0 };
const WORD: MessageRule = { bytes: [8, 8], descriptors: 0 };
const DESCRIPTOR: MessageRule = { bytes: [8, 8], descriptors: 1 };
const QUESTION: MessageRule = { bytes: [0, 0], descriptors: 0, isAnswered: true };
const CONFIG = {
  bytes: [CONFIG_HEADER_BYTES, CONFIG_HEADER_BYTES + MOST_CONFIG],
  descriptors: 0,
  needs: 'CONFIG',
} as const;
const REGION = { bytes: [40, 40], descriptors: 1, needs: 'CONFIGURE_MEM_SLOTS' } as const;

/** The messages that a back-end here takes (QEMU docs/interop/vhost-user.rst, "Front-end message types"). */
export const MESSAGE_RULES: Readonly<Partial<Record<RequestName, MessageRule>>> = {
  GET_FEATURES: QUESTION,
  SET_FEATURES: WORD,
  SET_OWNER: EMPTY,
  RESET_OWNER: EMPTY,
  SET_MEM_TABLE: { bytes: [8, 8 + 32 * MOST_REGIONS], descriptors: MOST_REGIONS },
  SET_LOG_BASE: { bytes: [LOG_MESSAGE_BYTES, LOG_MESSAGE_BYTES], descriptors: 1, needs: 'LOG_SHMFD', isAnswered: true },
  SET_LOG_FD: { bytes: [0, 8], descriptors: 1 },
  SET_VRING_NUM: WORD,
  SET_VRING_ADDR: { bytes: [40, 40], descriptors: 0 },
  SET_VRING_BASE: WORD,
  GET_VRING_BASE: { ...WORD, isAnswered: true },
  SET_VRING_KICK: DESCRIPTOR,
  SET_VRING_CALL: DESCRIPTOR,
  SET_VRING_ERR: DESCRIPTOR,
  GET_PROTOCOL_FEATURES: QUESTION,
  SET_PROTOCOL_FEATURES: WORD,
  GET_QUEUE_NUM: { ...QUESTION, needs: 'MQ' },
  SET_VRING_ENABLE: WORD,
  SET_BACKEND_REQ_FD: { bytes: [0, 8], descriptors: 1, needs: 'BACKEND_REQ' },
  IOTLB_MSG: { bytes: [IOTLB_MESSAGE_BYTES, IOTLB_MESSAGE_BYTES], descriptors: 0 },
  GET_CONFIG: { ...CONFIG, isAnswered: true },
  SET_CONFIG: CONFIG,
  GET_INFLIGHT_FD: { bytes: IN_FLIGHT_MESSAGE_BYTES, descriptors: 0, needs: 'INFLIGHT_SHMFD', isAnswered: true },
  SET_INFLIGHT_FD: { bytes: IN_FLIGHT_MESSAGE_BYTES, descriptors: 1, needs: 'INFLIGHT_SHMFD' },
  RESET_DEVICE: { ...EMPTY, needs: 'RESET_DEVICE' },
  GET_MAX_MEM_SLOTS: { ...QUESTION, needs: 'CONFIGURE_MEM_SLOTS' },
  ADD_MEM_REG: REGION,
  REM_MEM_REG: REGION,
  SET_STATUS: { ...WORD, needs: 'STATUS' },
  GET_STATUS: { ...QUESTION, needs: 'STATUS' },
};

/** The longest payload of all. */
export const LONGEST_PAYLOAD: number = Math.max(...Object.values(MESSAGE_RULES).map(({ bytes }) => bytes[1]));
