import { expect, it } from 'vitest';
import { crashOf, goneOutcome } from '../../src/run/outcome.ts';

const report = (what: string): string =>
  `==7==ERROR: AddressSanitizer: ${what} on address 0x60200000\nWRITE of size 1\n    #0 0x5581 in pop ring.c:33`;

it.each([
  ['heap-buffer-overflow', 'host-memory'],
  ['heap-use-after-free', 'host-memory'],
  ['stack-buffer-underflow', 'host-memory'],
  ['attempting double-free', 'host-memory'],
  ['SEGV', 'crash'],
  ['stack-overflow', 'crash'],
  ['requested allocation size 0x7fffffff exceeds maximum', 'crash'],
] as const)('says what an attacker gains by an error of memory: %s', (what, severity) => {
  expect(goneOutcome(crashOf('status 1', report(what))!)).toMatchObject({ verdict: 'gone', severity });
});

it('takes an end by a signal for a crash', () => {
  expect(goneOutcome(crashOf('SIGSEGV', 'double-free? no')!)).toMatchObject({ severity: 'crash' });
  expect(crashOf('status 0', 'bye')).toBeUndefined();
});
