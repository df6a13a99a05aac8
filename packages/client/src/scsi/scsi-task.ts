import {
  VIRTIO_SCSI_T_TMF_ABORT_TASK_SET,
  VIRTIO_SCSI_T_TMF_CLEAR_ACA,
  VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET,
  VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET,
  VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET,
  VIRTIO_SCSI_T_TMF_QUERY_TASK_SET,
} from '@virtio-platform/device-scsi';
import { ClientRequest } from '../requests/client-request.ts';

/** A task management function for a unit, or for its target. Specification 1.4 section 5.6.6.2. */
export type ScsiTaskName =
  | 'abort-task-set'
  | 'clear-aca'
  | 'clear-task-set'
  | 'i-t-nexus-reset'
  | 'logical-unit-reset'
  | 'query-task-set';

/** The number of each function. */
export const SCSI_TASKS: Readonly<Record<ScsiTaskName, number>> = {
  'abort-task-set': VIRTIO_SCSI_T_TMF_ABORT_TASK_SET,
  'clear-aca': VIRTIO_SCSI_T_TMF_CLEAR_ACA,
  'clear-task-set': VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET,
  'i-t-nexus-reset': VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET,
  'logical-unit-reset': VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET,
  'query-task-set': VIRTIO_SCSI_T_TMF_QUERY_TASK_SET,
};

/** What a target answered: it did the function, found a task, or does not have the function. */
export type ScsiTaskAnswer = 'complete' | 'found' | 'rejected';

/** A task management request. */
export class ScsiTask extends ClientRequest<ScsiTaskAnswer> {
  readonly name: ScsiTaskName;
  readonly target: number;
  readonly lun: number;
  isSubmitted = false;
  answer: ScsiTaskAnswer = 'complete';

  constructor(name: ScsiTaskName, target: number, lun: number, signal: AbortSignal | undefined) {
    super(signal);
    this.name = name;
    this.target = target;
    this.lun = lun;
  }

  protected override result(): ScsiTaskAnswer {
    return this.answer;
  }
}
