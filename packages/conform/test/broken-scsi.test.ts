import { describeFound } from './broken/describe-found.ts';
import { SCSI_BUGS, SCSI_EVENT_BUGS } from './broken/scsi-bugs.ts';
import { embeddedScsi } from './broken/try-bug.ts';

describeFound('scsi', await embeddedScsi(), [...SCSI_BUGS, ...SCSI_EVENT_BUGS]);
