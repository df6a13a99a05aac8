import { describeBroken } from './broken/describe-broken.ts';
import { embeddedNet } from './broken/try-bug.ts';
import { NET_FRAME_BUGS } from './broken/net-frame-bugs.ts';

const FOUND = [...NET_FRAME_BUGS];

describeBroken({
  name: 'a network device',
  profile: await embeddedNet(),
  bugs: FOUND.map(([bug]) => bug),
  foundBy: Object.fromEntries(FOUND.map(([{ name }, cases]) => [name, cases])),
  isTried: (id) => !['ring/index-wraps', 'notify/event-at-wrap'].includes(id),
  isHeld: (id) => id.startsWith('net/'),
  skipped: [],
});
