/**
 * Front-end requests by their names in the specification (QEMU docs/interop/vhost-user.rst, "Front-end message types").
 */
export const VHOST_USER_REQUESTS = {
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
  SEND_RARP: 19,
  NET_SET_MTU: 20,
  SET_BACKEND_REQ_FD: 21,
  IOTLB_MSG: 22,
  SET_VRING_ENDIAN: 23,
  GET_CONFIG: 24,
  SET_CONFIG: 25,
  GET_INFLIGHT_FD: 31,
  SET_INFLIGHT_FD: 32,
  RESET_DEVICE: 34,
  GET_MAX_MEM_SLOTS: 36,
  ADD_MEM_REG: 37,
  REM_MEM_REG: 38,
  SET_STATUS: 39,
  GET_STATUS: 40,
} as const;
/** A name in {@link VHOST_USER_REQUESTS}. */
export type RequestName = keyof typeof VHOST_USER_REQUESTS;

/** Requests of the back-end, on the back channel ("Back-end message types"). */
export const BACK_END_REQUESTS = { IOTLB_MSG: 1, CONFIG_CHANGE_MSG: 2 } as const;
/** A name in {@link BACK_END_REQUESTS}. */
export type BackEndRequestName = keyof typeof BACK_END_REQUESTS;

/** The name of a request of the front-end; `undefined` for a number that has none here. */
export function requestName(request: number): RequestName | undefined {
  return nameIn(VHOST_USER_REQUESTS, request);
}

/** The name of a request of the back-end; `undefined` for a number that has none here. */
export function backEndRequestName(request: number): BackEndRequestName | undefined {
  return nameIn(BACK_END_REQUESTS, request);
}

function nameIn<Name extends string>(table: Readonly<Record<Name, number>>, request: number): Name | undefined {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a table are its names
  return (Object.keys(table) as Name[]).find((name) => table[name] === request);
}
