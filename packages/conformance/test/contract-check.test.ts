import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  ADDRESS_SPACE_CHECKS,
  CheckSkipped,
  describeContract,
  DMA_MAPPING_CHECKS,
  MACHINE_PLUGIN_CHECKS,
  PLATFORM_PLUGIN_CHECKS,
  promisedAccess,
  runCheck,
  skipCheck,
  TRANSPORT_CHECKS,
  type ContractCheck,
} from '@virtio-platform/conformance';
import { IDENTITY_TRAITS } from '@virtio-platform/conformance/testing';

const README = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

const CHECK: ContractCheck<number> = {
  name: 'counts to three',
  duty: 'Counter.count: returns 3',
  advice: 'add one more',
  run(count) {
    if (count < 0) skipCheck('it does not count');
    if (count !== 3) throw new RangeError(`it counts to ${count}`);
  },
};

describe('a check that fails', () => {
  it('says what is wrong, which sentence of the contract that breaks, and what to do', async () => {
    await expect(runCheck(CHECK, 2)).rejects.toThrow(
      new RangeError('it counts to 2\n\ncontract: Counter.count: returns 3\nwhat to do: add one more'),
    );
    await expect(runCheck(CHECK, 3)).resolves.toBeUndefined();
  });

  it('explains itself once, also where one check runs inside of another', async () => {
    const outer = { ...CHECK, duty: 'another', run: (count: number) => runCheck(CHECK, count) };
    const error: unknown = await runCheck(outer, 2).catch((caught: unknown) => caught);
    expect(String(error).match(/contract:/g)).toHaveLength(1);
  });

  it('is an error also for a value that is none', async () => {
    const odd = {
      ...CHECK,
      run() {
        // oxlint-disable-next-line typescript/only-throw-error -- what a plugin may do
        throw 'a string';
      },
    };
    await expect(runCheck(odd, 2)).rejects.toThrow(/a string\n\ncontract:/);
  });
});

describe('a check that does not apply', () => {
  it('throws the reason', async () => {
    await expect(runCheck(CHECK, -1)).rejects.toThrow(new CheckSkipped('it does not count'));
  });

  const ran: string[] = [];
  describeContract('as a skipped test', [CHECK], async (check) => {
    ran.push(check.name);
    await runCheck(check, -1);
  });
  it('shows as skipped, and fails nothing', () => {
    expect(ran).toEqual(['counts to three']);
  });
});

describe.each([
  ['mappings', DMA_MAPPING_CHECKS],
  ['address spaces', ADDRESS_SPACE_CHECKS],
  ['platforms', PLATFORM_PLUGIN_CHECKS],
  ['machines', MACHINE_PLUGIN_CHECKS],
  ['transports', TRANSPORT_CHECKS],
] as const)('the checks of %s', (_name, checks: readonly ContractCheck<never>[]) => {
  it('have names of their own, a duty and an advice', () => {
    expect(new Set(checks.map(({ name }) => name)).size).toBe(checks.length);
    for (const { duty, advice } of checks) {
      expect(duty).toMatch(/\w/);
      expect(advice).toMatch(/\w/);
    }
  });

  it('are in the table of the README, with the same duty', () => {
    const text = README.replaceAll(/ +/g, ' ');
    const missing = checks.filter(({ name, duty }) => !text.includes(`| ${name} | ${duty} |`));
    expect(missing.map(({ name }) => name)).toEqual([]);
  });
});

describe('what the device may keep after unmap', () => {
  it.each([
    ['translated', true, true],
    ['granted', true, true],
    ['translated', false, false],
    ['linear', true, false],
    ['identity', true, false],
    ['bounced', false, false],
    ['bounced+translated', true, false],
  ] as const)('follows from the path %s with isolates %s', (mappedPath, isolates, revokes) => {
    const { because, ...promised } = promisedAccess({ ...IDENTITY_TRAITS, mappedPath, isolates });
    expect(promised).toEqual({ revokes, writableIsReadable: false, keepsBorrowed: false });
    expect(because).toMatch(new RegExp(`path ${mappedPath.replace('+', '\\+')}|isolates is false`));
  });

  it.each(['writableIsReadable', 'keepsBorrowed'] as const)('has the exception %s where it is stated', (name) => {
    expect(promisedAccess({ ...IDENTITY_TRAITS, [name]: true })[name]).toBe(true);
  });
});
