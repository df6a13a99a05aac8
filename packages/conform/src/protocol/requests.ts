/**
 * What a front-end asks for, by the names of the vhost-user document ("Front-end message types"). The cases have a
 * table of their own: they also try our own ends of the protocol.
 */
export const REQUESTS = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  RESET_OWNER: 4,
  SET_MEM_TABLE: 5,
  SET_LOG_BASE: 6,
  SET_LOG_FD: 7,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  SET_VRING_ERR: 14,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  GET_QUEUE_NUM: 17,
  SET_VRING_ENABLE: 18,
  SET_BACKEND_REQ_FD: 21,
  IOTLB_MSG: 22,
  GET_CONFIG: 24,
  SET_CONFIG: 25,
  GET_INFLIGHT_FD: 31,
  SET_INFLIGHT_FD: 32,
  RESET_DEVICE: 34,
  VRING_KICK: 35,
  GET_MAX_MEM_SLOTS: 36,
  ADD_MEM_REG: 37,
  REM_MEM_REG: 38,
  SET_STATUS: 39,
  GET_STATUS: 40,
} as const;
/** A name in {@link REQUESTS}. */
export type RequestName = keyof typeof REQUESTS;

/** Bits of the protocol features ("Protocol features"). */
export const PROTOCOL_FEATURES = {
  MQ: 0,
  LOG_SHMFD: 1,
  REPLY_ACK: 3,
  BACKEND_REQ: 5,
  CONFIG: 9,
  INFLIGHT_SHMFD: 12,
  RESET_DEVICE: 13,
  INBAND_NOTIFICATIONS: 14,
  CONFIGURE_MEM_SLOTS: 15,
  STATUS: 16,
} as const;
/** A name in {@link PROTOCOL_FEATURES}. */
export type ProtocolFeature = keyof typeof PROTOCOL_FEATURES;

/** Feature bit by which a back-end says that it has protocol features. */
export const HAS_PROTOCOL_FEATURES = 30;
/** Feature bit of the dirty log, which only a front-end accepts. */
export const LOG_ALL = 26;

/** The version of the protocol, in the flags of a header. */
export const VERSION = 1;
/** Bit of the flags: the message is an answer. */
export const IS_REPLY = 4;
/** Bit of the flags: the sender asks for an acknowledgement. */
export const NEEDS_REPLY = 8;

/** In SET_VRING_KICK, CALL and ERR: no descriptor comes along. */
export const NO_DESCRIPTOR = 0x100;
/** In the flags of SET_VRING_ADDR: writes to the used ring are logged. */
export const RING_LOG = 1;
