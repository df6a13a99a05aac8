import { describeBroken } from './broken/describe-broken.ts';
import { embeddedNet } from './broken/try-bug.ts';
import { NET_COMMAND_BUGS } from './broken/net-command-bugs.ts';
import { NET_HOSTILE_BUGS } from './broken/net-hostile-bugs.ts';
import { NET_FRAME_BUGS } from './broken/net-frame-bugs.ts';

const FOUND = [...NET_FRAME_BUGS, ...NET_COMMAND_BUGS, ...NET_HOSTILE_BUGS];

describeBroken({
  name: 'a network device',
  profile: await embeddedNet(),
  bugs: FOUND.map(([bug]) => bug),
  foundBy: Object.fromEntries(FOUND.map(([{ name }, cases]) => [name, cases])),
  isTried: (id) => !['ring/index-wraps', 'notify/event-at-wrap'].includes(id),
  isHeld: (id) => id.startsWith('net/'),
  skipped: [
    'config/width-32: the device has no field wider than 32 bits',
    'ring/writable-in-two/split: its requests have nothing to write',
    'ring/writable-in-two/packed: its requests have nothing to write',
    'ring/writable-last-byte-apart/split: its requests have nothing to write',
    'ring/writable-last-byte-apart/packed: its requests have nothing to write',
    'ring/used-marked-written: its requests have nothing to write',
    'queue-reset/not-negotiated: the transport does not let a driver do so',
  ],
});
