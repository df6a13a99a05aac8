import { BLOCK_FRAMING_FOUND_BY, READ_ONLY_BUGS } from './broken/block-framing-bugs.ts';
import { BUGS } from './broken/all-bugs.ts';
import { describeBroken } from './broken/describe-broken.ts';
import { FOUND_BY } from './broken/found-by.ts';
import { embeddedBlock, embeddedReadOnlyBlock } from './broken/try-bug.ts';

describeBroken({
  name: 'a block device',
  profile: await embeddedBlock(),
  bugs: BUGS,
  foundBy: { ...FOUND_BY, ...BLOCK_FRAMING_FOUND_BY },
  isHeld: () => true,
  notFound: {
    'hostile/V26-rewritten': 'the embedded device has read the descriptors before the driver can rewrite them',
  },
  skipped: [
    'queue-reset/not-negotiated: the transport does not let a driver do so',
    'block/read-only-write: the disk is not read-only',
    'block/read-only-zeroes: the disk is not read-only',
    'block/read-only-discard: the disk is not read-only',
    'block/read-only-read: the disk is not read-only',
    'block/erase-unknown-flag: the disk does not offer BLK_SECURE_ERASE',
  ],
});

describeBroken({
  name: 'a read-only block device',
  profile: await embeddedReadOnlyBlock(),
  bugs: READ_ONLY_BUGS.map(([bug]) => bug),
  foundBy: Object.fromEntries(READ_ONLY_BUGS.map(([{ name }, cases]) => [name, cases])),
  isTried: (id) => id.startsWith('block/'),
  isHeld: (id) => id.startsWith('block/read-only'),
  skipped: [],
});
