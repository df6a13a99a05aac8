/** The indices of the queues. Specification 1.4 section 5.6.2. */
export const SCSI_CONTROL_QUEUE = 0;
/** The event queue. Section 5.6.2. */
export const SCSI_EVENT_QUEUE = 1;
/** The first of the request queues. Section 5.6.2. */
export const SCSI_REQUEST_QUEUE = 2;
/** Most request queues that the halves of this package have: a device half has at most 64 queues. */
export const SCSI_MAX_QUEUES = 62;

/** Largest target and logical unit that a request can address. Section 5.6.6.1. */
export const SCSI_MAX_TARGET = 255;
/** Largest logical unit of a target. Section 5.6.6.1. */
export const SCSI_MAX_LUN = 0x3fff;

/** u8 lun[8], le64 id, u8 task_attr, u8 prio, u8 crn: a request without its CDB. Section 5.6.6.1. */
export const SCSI_REQUEST_HEADER_SIZE = 19;
/** le32 sense_len, le32 residual, le16 status_qualifier, u8 status, u8 response: without sense. Section 5.6.6.1. */
export const SCSI_RESPONSE_HEADER_SIZE = 12;
/** `cdb_size` of a device that was reset. Section 5.6.4. */
export const SCSI_CDB_SIZE = 32;
/** `sense_size` of a device that was reset. Section 5.6.4. */
export const SCSI_SENSE_SIZE = 96;

/** What became of a request; the status of a command counts with OK only. Section 5.6.6.1. */
export const VIRTIO_SCSI_S_OK = 0;
/** The CDB asks for more data than the buffers have. Section 5.6.6.1. */
export const VIRTIO_SCSI_S_OVERRUN = 1;
/** Cancelled by ABORT TASK or ABORT TASK SET. Section 5.6.6.1. */
export const VIRTIO_SCSI_S_ABORTED = 2;
/** The target does not exist. Section 5.6.6.1. */
export const VIRTIO_SCSI_S_BAD_TARGET = 3;
/** Cancelled by a reset. Section 5.6.6.1. */
export const VIRTIO_SCSI_S_RESET = 4;
/** Failed, and may succeed when made again. Section 5.6.6.1. */
export const VIRTIO_SCSI_S_BUSY = 5;
/** The link to the target is severed. Section 5.6.6.1. */
export const VIRTIO_SCSI_S_TRANSPORT_FAILURE = 6;
/** The target fails. Section 5.6.6.1. */
export const VIRTIO_SCSI_S_TARGET_FAILURE = 7;
/** The nexus fails. Section 5.6.6.1. */
export const VIRTIO_SCSI_S_NEXUS_FAILURE = 8;
/** Another error of host or driver. Section 5.6.6.1. */
export const VIRTIO_SCSI_S_FAILURE = 9;
/** A query found the task. Section 5.6.6.2. */
export const VIRTIO_SCSI_S_FUNCTION_SUCCEEDED = 10;
/** The target does not have the function. Section 5.6.6.2. */
export const VIRTIO_SCSI_S_FUNCTION_REJECTED = 11;
/** The target has no such logical unit. Section 5.6.6.2. */
export const VIRTIO_SCSI_S_INCORRECT_LUN = 12;

/** Control request: task management. le32 type, le32 subtype, u8 lun[8], le64 id; u8 response. Section 5.6.6.2. */
export const VIRTIO_SCSI_T_TMF = 0;
/** Control request: which events a unit can report. Section 5.6.6.2. */
export const VIRTIO_SCSI_T_AN_QUERY = 1;
/** Control request: report events. Section 5.6.6.2. */
export const VIRTIO_SCSI_T_AN_SUBSCRIBE = 2;
/** Bytes of a task management request, and of its answer. */
export const SCSI_TMF_SIZE = 24;
/** Bytes of a notification request: le32 type, u8 lun[8], le32 event_requested. */
export const SCSI_AN_SIZE = 16;
/** Bytes of the answer to a notification request: le32 event_actual, u8 response. */
export const SCSI_AN_ANSWER_SIZE = 5;

/** Task management functions. Section 5.6.6.2. */
export const VIRTIO_SCSI_T_TMF_ABORT_TASK = 0;
/** Aborts all tasks of a logical unit. Section 5.6.6.2. */
export const VIRTIO_SCSI_T_TMF_ABORT_TASK_SET = 1;
/** Clears an auto contingent allegiance. Section 5.6.6.2. */
export const VIRTIO_SCSI_T_TMF_CLEAR_ACA = 2;
/** Aborts all tasks of a logical unit, of all initiators. Section 5.6.6.2. */
export const VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET = 3;
/** Resets all logical units of a target. Section 5.6.6.2. */
export const VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET = 4;
/** Resets a logical unit. Section 5.6.6.2. */
export const VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET = 5;
/** Asks whether a task is there. Section 5.6.6.2. */
export const VIRTIO_SCSI_T_TMF_QUERY_TASK = 6;
/** Asks whether a logical unit has a task. Section 5.6.6.2. */
export const VIRTIO_SCSI_T_TMF_QUERY_TASK_SET = 7;

/** le32 event, u8 lun[8], le32 reason. Section 5.6.6.3. */
export const SCSI_EVENT_SIZE = 16;
/** Bit of `event`: the device lost events. Section 5.6.6.3. */
export const VIRTIO_SCSI_T_EVENTS_MISSED = 0x8000_0000;
/** Nothing happened. Section 5.6.6.3. */
export const VIRTIO_SCSI_T_NO_EVENT = 0;
/** A logical unit was reset, appeared or disappeared. Section 5.6.6.3. */
export const VIRTIO_SCSI_T_TRANSPORT_RESET = 1;
/** An asynchronous notification. Section 5.6.6.3. */
export const VIRTIO_SCSI_T_ASYNC_NOTIFY = 2;
/** A parameter of a logical unit changed; `reason` has ASC and, in bits 8 to 15, ASCQ. Section 5.6.6.3. */
export const VIRTIO_SCSI_T_PARAM_CHANGE = 3;
/** Reason: the logical unit was reset. Section 5.6.6.3. */
export const VIRTIO_SCSI_EVT_RESET_HARD = 0;
/** Reason: the logical unit appeared. Section 5.6.6.3. */
export const VIRTIO_SCSI_EVT_RESET_RESCAN = 1;
/** Reason: the logical unit is gone. Section 5.6.6.3. */
export const VIRTIO_SCSI_EVT_RESET_REMOVED = 2;

const RESPONSES: readonly string[] = [
  'OK',
  'OVERRUN',
  'ABORTED',
  'BAD_TARGET',
  'RESET',
  'BUSY',
  'TRANSPORT_FAILURE',
  'TARGET_FAILURE',
  'NEXUS_FAILURE',
  'FAILURE',
  'FUNCTION_SUCCEEDED',
  'FUNCTION_REJECTED',
  'INCORRECT_LUN',
];

/** A response with its name: `response 3 (BAD_TARGET)`. */
export function describeResponse(response: number): string {
  const name = RESPONSES[response];
  return name === undefined ? `response ${response}, which the specification does not have` : `${name} (${response})`;
}
