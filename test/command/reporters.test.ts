import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import AjvDraft04 from 'ajv-draft-04';
import addFormats from 'ajv-formats';
import Ajv2020 from 'ajv/dist/2020.js';
import { parse as parseJunit } from 'junit2json';
import { SaxesParser } from 'saxes';
import { Parser } from 'tap-parser';
import type { RunReport } from '@virtio-platform/runner';
import { REPORT_SCHEMA } from '@virtio-platform/runner/report-schema';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commandHere, reportsOf, ROOT, withoutProgress, type CommandResult } from './command.ts';

/** What XML, YAML, JSON, a terminal and GitHub each give a meaning of their own. */
const HOSTILE =
  '::error::a\u001B[31mb\nok 2 # SKIP\rc ]]> <d> & "e" \'f\' %0A,:g \\ \u0000 \u2028h \uFFFE \u202Ei # todo j ]]>';
const SMALL = `extends: ${join(ROOT, 'profiles/pseries-linear.yaml')}
matrix: []
workload: { requests: 10, depth: 4, seed: 3 }
`;
const RULES = `extends: ${join(ROOT, 'profiles/sev/restricted-pool.yaml')}\nmatrix: []\n`;

const REPORTERS = ['list', 'table', 'json', 'ndjson', 'junit', 'tap', 'sarif', 'github'] as const;

let folder: string;
let result: CommandResult;
let fileOf: (name: string) => string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  const profile = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  profile('good.yaml', `${SMALL}profile: good\nexpect: { path: linear }\n`);
  profile('hostile.yaml', `${SMALL}profile: ${JSON.stringify(HOSTILE)}\nexpect: { path: identity }\n`);
  profile('faults.yaml', `${RULES}profile: faults\nexpect: { faults: 0 }\n`);
  profile('expected.yaml', `${RULES}profile: expected\n`);
  const outputs = REPORTERS.flatMap((name) => ['--reporter', `${name}=reports/${name}`]);
  const files = ['good.yaml', 'hostile.yaml', 'faults.yaml', 'expected.yaml'];
  result = await commandHere(['run', ...files, ...outputs], folder);
  fileOf = (name) => readFileSync(join(folder, 'reports', name), 'utf8');
});
afterAll(() => rmSync(folder, { recursive: true }));

function reports(): RunReport[] {
  return JSON.parse(fileOf('json')) as RunReport[];
}

describe('run --reporter', () => {
  it('writes several at once to files, in folders that it makes, and shows people the list', () => {
    expect([result.status, result.stderr]).toEqual([1, '']);
    expect(fileOf('list').replaceAll(/\d+ ms|[\d.]+ s/g, '')).toBe(
      withoutProgress(result.stdout).replaceAll(/\d+ ms|[\d.]+ s/g, ''),
    );
    // oxlint-disable-next-line no-control-regex -- the line end is the one control character of the files
    for (const name of REPORTERS) expect(fileOf(name)).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
  });

  it('list has one line for each run, ok or FAIL first, then each failure once more, and a summary', () => {
    const [runs, ...rest] = fileOf('list').split('\n\n');
    expect(runs!.split('\n').map((line) => line.replace(/ +[\d.]+ m?s {2}/, ' '))).toEqual([
      'ok good  linear, 10 requests',
      expect.stringMatching(/^FAIL ::error::a\\x1b.* path: expected identity, was linear$/),
      expect.stringMatching(/^FAIL faults /),
      'ok expected  1 fault, as expected',
    ]);
    expect(rest).toHaveLength(3);
    expect(rest[0]).toMatch(
      /^\\::error::a\\x1b\[31mb\\n.*\n {2}differs path: expected identity, was linear\n {2}again /,
    );
    expect(rest[1]).toMatch(
      /^faults\n {2}fault {3}the device's read of 64 bytes at 0x1e00000 was refused: .*\n {2}where .*\n(?: {2}(?!differs|fault:).*\n)* {2}again virtio-platform run faults\.yaml --seed \d+$/,
    );
    expect(rest[2]).toMatch(/^2 of 4 runs as expected, [\d,]+ requests in [\d.]+ m?s\n$/);
  });

  it('json and ndjson have what made each report, by the published schema', async () => {
    const [first] = reports();
    expect(first).toMatchObject({ schemaVersion: 1, seed: 3, file: join(folder, 'good.yaml'), profile: 'good' });
    expect(first!.toolVersion).toBe(
      (JSON.parse(readFileSync(join(ROOT, 'packages/cli/package.json'), 'utf8')) as { version: string }).version,
    );
    expect(Math.abs(Date.now() - Date.parse(first!.startedAt))).toBeLessThan(120_000);
    expect(
      fileOf('ndjson')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(reports());
    expect(reports()[1]!.profile).toBe(HOSTILE);
    const printed = (await commandHere(['schema', '--report'])).stdout;
    expect(printed).toBe(readFileSync(join(ROOT, 'packages/cli/report-schema.json'), 'utf8'));
    const validate = addFormats
      .default(new Ajv2020.default({ strictTypes: false }))
      .compile(JSON.parse(printed) as object);
    expect([validate(reports()), validate.errors]).toEqual([true, null]);
    expect(validate([{ ...first, later: 1 }])).toBe(true);
    expect(validate([{ ...first, seed: -1 }])).toBe(false);
    expect(REPORT_SCHEMA.safeParse({ ...first, later: 1 }).success).toBe(false);
    for (const report of reports()) expect(REPORT_SCHEMA.safeParse(report).error).toBeUndefined();
  });

  it('junit is well-formed, and says what its consumers count', async () => {
    const xml = fileOf('junit');
    const wellFormed = new SaxesParser();
    wellFormed.on('error', (error) => {
      throw error;
    });
    wellFormed.write(xml).close();
    const suites = await parseJunit(xml);
    expect(suites).toMatchObject({ name: 'virtio-platform', tests: 4, failures: 2, errors: 0, skipped: 0 });
    if (!('testsuite' in suites!)) throw new Error('no suites');
    expect(suites.testsuite).toHaveLength(4);
    const [good, hostile, faults] = suites.testsuite.map(({ testcase }) => testcase![0]!);
    expect(good).toMatchObject({ name: 'good', classname: 'good.yaml' });
    expect(good).not.toHaveProperty('failure');
    expect(hostile!.name).toMatch(/^::error::a\\x1b\[31mb\\nok 2 .* \]\]> <d> & "e" 'f' %0A/);
    expect(hostile!.failure![0]!.inner).toContain('differs path: expected identity, was linear');
    expect(faults!.failure).toMatchObject([{ type: expect.stringMatching(/^fault-/) as string }]);
    expect(suites.testsuite[0]).toMatchObject({ name: 'good.yaml', tests: 1, failures: 0 });
  });

  it('tap is TAP 14, of which no name is a directive', () => {
    const points: { ok: boolean; name: string; skip?: unknown; todo?: unknown; diag?: Record<string, unknown> }[] = [];
    const parser = new Parser({ strict: true });
    parser.on('assert', (point) => points.push(point as (typeof points)[number]));
    let end: { ok: boolean; count: number; plan: { end: number | null } } | undefined;
    parser.on('complete', (results) => (end = results as unknown as typeof end));
    parser.end(fileOf('tap'));
    expect(fileOf('tap')).toMatch(/^TAP version 14\n/);
    expect(end).toMatchObject({ ok: false, count: 4, plan: { end: 4 } });
    expect(points.map(({ ok, skip, todo }) => [ok, skip ?? false, todo ?? false])).toEqual([
      [true, false, false],
      [false, false, false],
      [false, false, false],
      [true, false, false],
    ]);
    expect(points[1]!.name).toContain('# SKIP');
    expect(points[1]!.diag).toMatchObject({
      severity: 'fail',
      seed: 3,
      message: 'path: expected identity, was linear',
    });
  });

  it('sarif is SARIF 2.1.0, with a result for each fault and what is expected suppressed', () => {
    const file = createRequire(import.meta.url).resolve('@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json');
    const schema = JSON.parse(readFileSync(file, 'utf8')) as object;
    const validate = addFormats
      .default(new AjvDraft04.default({ strict: false, unicodeRegExp: false }))
      .compile(schema);
    const log = JSON.parse(fileOf('sarif')) as SarifLog;
    expect([validate(log), validate.errors]).toEqual([true, null]);
    const [{ tool, results }] = log.runs;
    expect(tool.driver.rules.map(({ id }) => id)).toEqual([...new Set(results.map(({ ruleId }) => ruleId))]);
    for (const { ruleId, ruleIndex } of results) expect(tool.driver.rules[ruleIndex]!.id).toBe(ruleId);
    const faults = results.filter(({ ruleId }) => ruleId.startsWith('fault-'));
    expect(
      faults.map(({ level, locations: [{ physicalLocation }], suppressions }) => [
        level,
        physicalLocation.artifactLocation.uri,
        physicalLocation.region.startLine,
        suppressions?.length ?? 0,
      ]),
    ).toEqual([
      ['error', 'faults.yaml', 1, 0],
      ['note', 'expected.yaml', 1, 1],
    ]);
    // What, where and the next step, as the terminal begins; without an explanation the address and what walks it.
    const [{ faults: all, explanations }] = reports().filter(({ profile }) => profile === 'faults') as [RunReport];
    const { what, where, next } = explanations.find(({ kind }) => kind === 'fault')!;
    const [shown, suppressed] = faults;
    expect(shown!.message.text).toBe(`faults: ${what}. Where: ${where}. Next: ${next}`);
    expect(shown!.properties).toMatchObject({ where, next });
    expect(fileOf('list')).toContain(`  where   ${where}`);
    expect(fileOf('tap')).toContain(JSON.stringify(`fault-${all[0]!.cause}: ${what}. Where: ${where}. Next: ${next}`));
    expect(suppressed!.message.text).toMatch(/ Where: device address (0x\w+)\. Next: `explain` with --address \1 /);
  });

  it('github has one command for each run that failed, in one line, with its file', () => {
    const lines = fileOf('github').trimEnd().split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^::error file=hostile\.yaml,line=1,col=1,title=%3A%3Aerror%3A%3Aa\\x1b[^:]*::/);
    expect(lines[0]).toContain('%250A%2C%3Ag');
    expect(lines[1]).toMatch(/^::error file=faults\.yaml,line=1,col=1,title=faults::.*%0A {2}fault/);
  });

  it('table is a table where there is room, and cards on a narrow terminal', () => {
    expect(fileOf('table')).toMatch(/^ +profile +platform +features accepted/);
  });

  it.each([
    [['--reporter', 'html'], 'list, table, json'],
    [['--reporter', 'junit='], 'lacks the file'],
    [['--reporter', 'list', '--json'], '--reporter json=FILE'],
    [['--reporter', 'tap,sarif'], 'write into each other'],
    [['--reporter', 'junit=x,tap=x'], '--reporter junit and --reporter tap both write to x'],
    [['--filter', '/(/'], 'regular expression'],
    [['--seed', '-1'], 'whole number'],
    [['--repeat', '0'], 'whole number'],
    [['--quiet', '--verbose'], 'cannot be used with'],
  ] as const)('is wrong usage: %s', async (words, text) => {
    const { status, stdout, stderr } = await commandHere(['run', 'good.yaml', ...words], folder);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(text);
  });

  it('runs nothing where a file cannot be made', async () => {
    const words = ['run', 'good.yaml', '--reporter', 'junit=good.yaml/x.xml', '--reporter', 'list'];
    const { status, stdout, stderr } = await commandHere(words, folder);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain('[ERR_RUN_REPORT]');
  });

  it('shares the standard output where lines say whose they are', async () => {
    const { stdout } = await commandHere(['run', 'hostile.yaml', '--reporter', 'list,github'], folder);
    expect(stdout.match(/^::error file=/gm)).toHaveLength(1);
    expect(stdout).toContain('0 of 1 runs as expected');
    expect(reportsOf(await commandHere(['run', 'good.yaml', '--reporter', 'json'], folder))).toHaveLength(1);
  });
});

interface SarifLog {
  readonly runs: readonly [
    {
      readonly tool: { readonly driver: { readonly rules: readonly { readonly id: string }[] } };
      readonly results: readonly {
        readonly ruleId: string;
        readonly ruleIndex: number;
        readonly level: string;
        readonly message: { readonly text: string };
        readonly properties: Readonly<Record<string, unknown>>;
        readonly suppressions?: readonly unknown[];
        readonly locations: readonly [
          {
            readonly physicalLocation: {
              readonly artifactLocation: { readonly uri: string };
              readonly region: { readonly startLine: number };
            };
          },
        ];
      }[];
    },
  ];
}
