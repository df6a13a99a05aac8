import { BALLOON_BUGS } from './broken/balloon-bugs.ts';
import { describeFound } from './broken/describe-found.ts';
import { embeddedBalloon } from './broken/try-bug.ts';

describeFound('balloon', await embeddedBalloon(), BALLOON_BUGS);
