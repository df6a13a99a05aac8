import { describeFound } from './broken/describe-found.ts';
import { ENTROPY_BUGS } from './broken/entropy-bugs.ts';
import { embeddedEntropy } from './broken/try-bug.ts';

describeFound('entropy', await embeddedEntropy(), ENTROPY_BUGS);
