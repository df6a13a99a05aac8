import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../packed/public-packages.ts';
import { publicEntries, writeApiDocs } from './api-docs.ts';

let folder: string;
let problems: string[];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-api-docs-'));
  problems = await writeApiDocs(folder);
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true }));

/** The pages, by their paths from the folder. */
const pages = new Map<string, string>();
function page(path: string): string {
  const known = pages.get(path) ?? readFileSync(join(folder, path), 'utf8');
  pages.set(path, known);
  return known;
}

/** What a reader sees of a page, with single spaces. */
function textOf(html: string): string {
  const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
  return html
    .replace(/<(?:script|style)[\s\S]*?<\/(?:script|style)>|<wbr\s*\/?>/g, '')
    .replace(/<[^>]*>/g, '')
    .replace(/&(\w+|#39);/g, (whole, name: string) => entities[name] ?? whole)
    .replace(/\s+/g, ' ');
}

/** An export, as the built declarations of its entry have it. */
interface Exported {
  readonly name: string;
  /** The first words of its docstring that are no code and no link; empty where it has none. */
  readonly words: string;
}

/** The first run of plain words of a docstring. */
function firstWords(docstring: string): string {
  const [plain = ''] = docstring.split(/[`{*_<>[\]&"'’@\\]|\n\n|\n- /, 1);
  return plain.replace(/\s+/g, ' ').trim();
}

/** Whether a file has a name from another package. */
function isOfAnother(text: string, name: string): boolean {
  return Array.from(text.matchAll(/^import (?:type )?\{([^}]*)\} from '[^.][^']*';$/gm)).some(([, names]) =>
    names!.split(',').some((imported) => imported.trim().replace(/^type /, '') === name),
  );
}

/** The exports that a file of declarations says itself, and those of the files that it exports all of. */
function exportsOf(types: string): Exported[] {
  const text = readFileSync(types, 'utf8');
  const files = Array.from(text.matchAll(/^export \* from '(\.[^']+)';$/gm), ([, path]) =>
    join(dirname(types), path!.replace(/\.(?:ts|js)$/, '.d.ts')),
  );
  const own = text.matchAll(
    /(?:\/\*\*((?:(?!\*\/)[\s\S])*?)\*\/\s*)?^export (?:declare )?(?:abstract )?(?:class|function|interface|type|const) (\w+)/gm,
  );
  const declared = Array.from(own, ([, docstring = '', name]) => ({
    name: name!,
    words: firstWords(docstring.replace(/^\s*\* ?/gm, '').trim()),
  }));
  const listed = Array.from(text.matchAll(/^export (?:type )?\{([^}]*)\}(?: from '\.[^']*')?;/gm), ([, names]) =>
    names!.split(','),
  )
    .flat()
    .map((name) =>
      name
        .trim()
        .replace(/^type /, '')
        .replace(/^.* as /, ''),
    )
    .filter((name) => name !== '' && name !== 'default' && !isOfAnother(text, name))
    .map((name) => ({ name, words: '' }));
  return [...declared, ...listed, ...files.flatMap(exportsOf)];
}

/** The pages of an export, from that of its entry: a type and a value of one name have one each. */
function pagesOf(entry: string, name: string): string[] {
  const path = `modules/${entry.replaceAll(/[@/]/g, '_')}.html`;
  const links = page(path).matchAll(/<a href="(\.\.\/[^"]+)"[^>]*>([\s\S]*?)<\/a>/g);
  return Array.from(links)
    .filter(([, , text]) => textOf(text!).trim() === name)
    .map(([, href]) => normalize(join(dirname(path), href!.split('#', 1)[0]!)));
}

/** Whether a link of a page leads to a page, or to a source of this repository. */
function leads(from: string, href: string): boolean {
  const [, source] = /\/blob\/main\/(.*)$/.exec(href) ?? [];
  if (source !== undefined) return existsSync(join(ROOT, source));
  return /^https?:/.test(href) || existsSync(join(folder, dirname(from), decodeURIComponent(href)));
}

describe('the API reference', () => {
  it('has no docstring with a link that leads nowhere', () => {
    expect(problems).toEqual([]);
  });

  it.each(publicEntries())('has every export of $name with its text', ({ name, types }) => {
    const exported = exportsOf(join(ROOT, types));
    expect(name === '@virtio-platform/cli' || exported.length > 0).toBe(true);
    const lacking = exported.filter(
      (one) => !pagesOf(name, one.name).some((path) => textOf(page(path)).includes(one.words)),
    );
    expect(lacking).toEqual([]);
  });

  it('has pages whose links lead to pages', () => {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.html'));
    expect(files.length).toBeGreaterThan(500);
    const dead = files.flatMap((file) =>
      Array.from(page(file).matchAll(/ href="([^"#]+)(?:#[^"]*)?"/g), ([, href]) => href!)
        .filter((href) => !leads(file, href))
        .map((href) => `${file}: ${href}`),
    );
    expect(dead).toEqual([]);
  });
});
