import { describe, expect, it } from 'vitest';
import { parseYaml } from '../src/source/parse-yaml.ts';
import { formatIssue } from '../src/source/profile-issue.ts';
import { nodeAt, placeOf, plainMap } from '../src/source/source-node.ts';
function issuesOf(source: string): string[] {
  return parseYaml('file.yaml', source).issues.map(formatIssue);
}

describe('parseYaml', () => {
  it('keeps every bit of a 64-bit number', () => {
    const { root } = parseYaml('file.yaml', 'address: 0x800000000000001\nlarge: 0xffffffffffffffff\nsmall: 0x10');
    expect(plainMap(root!)).toEqual({ address: 0x800000000000001n, large: 0xffffffffffffffffn, small: 16 });
  });

  it('knows where every value and key stands', () => {
    const { root } = parseYaml('file.yaml', 'a:\n  b: { c: [1, two] }\n');
    expect(placeOf(root!, ['a', 'b', 'c', 1])).toMatchObject({ location: { line: 2, column: 15 }, text: 'two' });
    expect(placeOf(root!, ['a', 'b'], 'key')).toMatchObject({ location: { line: 2, column: 3 }, text: 'b' });
  });

  it('places what is missing at the key of the map that lacks it', () => {
    const { root } = parseYaml('file.yaml', 'a:\n  b: {}\n');
    expect(placeOf(root!, ['a', 'b', 'c', 'd']).location).toMatchObject({ line: 2, column: 3 });
  });

  it('places a value of which nothing is written at its key', () => {
    const { root } = parseYaml('file.yaml', 'a: 1\nb:\n');
    expect(nodeAt(root!, ['b'])).toMatchObject({ value: null, location: { line: 2, column: 1 } });
  });

  it('names the place of both of two equal keys', () => {
    expect(issuesOf('a: 1\nb: 2\na: 3\n')).toEqual(['file.yaml:3:1: the key `a` is given twice, first in line 1']);
  });

  it.each([
    ['an open list', 'a: [1, 2\nb: 3\n', 2],
    ['a tab as indentation', 'a:\n\tb: 1\n', 2],
    ['a key that is a list', '? [a]\n: 1\n', 1],
    ['a second document', 'a: 1\n---\nb: 2\n', 2],
    ['an open quote', 'a: "x\n', 2],
  ])('reports %s as a syntax error', (_, source, line) => {
    const { issues } = parseYaml('file.yaml', source);
    expect(issues[0]).toMatchObject({ code: 'ERR_PROFILE_SYNTAX', line });
  });

  it.each([['!!js/function "x"'], ['!secret 1'], ['!!binary aGk=']])('refuses the tag of %s', (value) => {
    expect(issuesOf(`a: ${value}\n`)[0]).toContain('file.yaml:1:4: Unresolved tag');
  });

  it.each([
    ['', 'the file is empty'],
    ['# nothing\n', 'the file is empty'],
    ['[a, b]\n', 'a profile is a map of keys'],
    ['just text\n', 'a profile is a map of keys'],
    ['%YAML 1.1\n---\na: yes\n', 'profiles are YAML 1.2'],
    ['__proto__: { polluted: true }\n', '`__proto__` cannot be a key'],
  ])('refuses %j', (source, message) => {
    expect(issuesOf(source)).toHaveLength(1);
    expect(issuesOf(source)[0]).toContain(message);
  });

  it('follows aliases', () => {
    const { root, issues } = parseYaml('file.yaml', 'a: &x { b: 1 }\nc: *x\n');
    expect(issues).toEqual([]);
    expect(plainMap(root!)).toEqual({ a: { b: 1 }, c: { b: 1 } });
  });

  it('reports an alias without an anchor', () => {
    expect(issuesOf('a: *x\n')).toEqual(['file.yaml:1:4: no anchor &x stands before this alias']);
  });

  it('stops aliases that grow to billions of values', () => {
    const levels = Array.from(
      { length: 12 },
      (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`,
    );
    const { issues } = parseYaml('file.yaml', ['l0: &l0 [1]', ...levels, ''].join('\n'));
    expect(issues[0]!.message).toContain('aliases grow beyond');
  });

  it('stops an alias to what it stands in', () => {
    expect(issuesOf('a: &x [*x]\n')[0]).toContain('aliases grow beyond');
  });

  it.each([
    ['lists', '[', 20_000],
    ['maps', '{a: ', 20_000],
    ['items', '- ', 20_000],
    ['keys', '? ', 20_000],
  ])('refuses deeply nested %s instead of running out of stack', (_, opening, count) => {
    const { issues } = parseYaml('file.yaml', opening.repeat(count));
    expect(issues).toEqual([expect.objectContaining({ code: 'ERR_PROFILE_SYNTAX', line: 1 })]);
    expect(issues[0]!.message).toContain('nested deeper');
  });
});
