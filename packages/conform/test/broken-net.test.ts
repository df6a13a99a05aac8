import { describeFound } from './broken/describe-found.ts';
import { embeddedNet } from './broken/try-bug.ts';
import { NET_COMMAND_BUGS } from './broken/net-command-bugs.ts';
import { NET_HOSTILE_BUGS } from './broken/net-hostile-bugs.ts';
import { NET_FRAME_BUGS } from './broken/net-frame-bugs.ts';

const FOUND = [...NET_FRAME_BUGS, ...NET_COMMAND_BUGS, ...NET_HOSTILE_BUGS];

describeFound('net', await embeddedNet(), FOUND);
