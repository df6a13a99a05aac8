import { BUGS } from './broken/all-bugs.ts';
import { describeBroken } from './broken/describe-broken.ts';
import { FOUND_BY } from './broken/found-by.ts';
import { embeddedBlock } from './broken/try-bug.ts';

describeBroken({
  name: 'a block device',
  profile: await embeddedBlock(),
  bugs: BUGS,
  foundBy: FOUND_BY,
  isHeld: () => true,
  notFound: {
    'hostile/V26-rewritten': 'the embedded device has read the descriptors before the driver can rewrite them',
  },
  skipped: [
    'queue-reset/not-negotiated: the transport does not let a driver do so',
    'block/read-only-write: the disk is not read-only',
    'block/erase-unknown-flag: the disk does not offer BLK_SECURE_ERASE',
  ],
});
