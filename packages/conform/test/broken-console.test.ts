import { CONSOLE_BUGS } from './broken/console-bugs.ts';
import { describeFound } from './broken/describe-found.ts';
import { embeddedConsole } from './broken/try-bug.ts';

describeFound('console', await embeddedConsole(), CONSOLE_BUGS);
