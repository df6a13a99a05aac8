/** A source or document of the repository, as the rules read it. */
export interface HouseFile {
  /** Relative to the root of the repository, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** The longest line of a TypeScript or Markdown file, in characters. */
export const LONGEST_LINE = 120;
/** The longest source file, in lines. */
export const LONGEST_SOURCE = 600;
/** The bounds of the median of all source files, in lines. */
export const MEDIAN_SOURCE = { least: 80, most: 130 } as const;
/** The number of files that may be directly in one folder of sources. */
export const MOST_SIBLINGS = 20;

const EXPORTED =
  /^export (?:declare )?(?:default )?(?:async )?(?:abstract )?(?:const|function\*?|class|interface|type) (?!\{)([A-Za-z_$][\w$]*)/;

/**
 * The exported names without a docstring directly above them, as `file:line: name`. Decorators may stand in between.
 */
export function undocumentedExports({ path, text }: HouseFile): string[] {
  const lines = text.split('\n');
  const problems: string[] = [];
  const overloads = new Set<string>();
  for (const [index, line] of lines.entries()) {
    const name = EXPORTED.exec(line)?.[1];
    if (name === undefined) continue;
    let above = index - 1;
    while (above >= 0 && lines[above]!.startsWith('@')) above--;
    if (lines[above]?.trimEnd().endsWith('*/') === true) overloads.add(name);
    else if (!overloads.has(name)) problems.push(`${path}:${index + 1}: ${name} has no docstring`);
  }
  return problems;
}

/**
 * The lines longer than {@link LONGEST_LINE}, as `file:line: length`. In Markdown, tables, blocks of program output
 * (` ```text ` or without a language) and lines of one link are excepted. In TypeScript only comments count, without
 * web addresses and directives of the linter: the formatter wraps code, and leaves long strings whole.
 */
export function longLines({ path, text }: HouseFile): string[] {
  const isMarkdown = path.endsWith('.md');
  let block: string | undefined;
  return text.split('\n').flatMap((line, index) => {
    const fence = isMarkdown ? /^\s*```(\w*)/.exec(line) : null;
    if (fence !== null) block = block === undefined ? fence[1]! : undefined;
    const isOutput = block === '' || block === 'text';
    const isExcepted = isMarkdown && (line.startsWith('|') || isOutput);
    const isCode = !isMarkdown && (!/^\s*(?:\/\/|\/?\*)/.test(line) || line.includes('oxlint-disable'));
    const isLink = /^[\s*/#-]*(?:\[[^\]]*\])?[(<]?https?:\S+$/.test(line);
    const length = line.length;
    if (length <= LONGEST_LINE || isExcepted || isCode || isLink) return [];
    return [`${path}:${index + 1}: ${length} characters`];
  });
}

/** The number of lines, without the empty one behind the last line break. */
export function lineCount(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
}

/** The source files longer than {@link LONGEST_SOURCE}, as `file:line: length`. */
export function longFiles(files: readonly HouseFile[]): string[] {
  return files.flatMap(({ path, text }) => {
    const lines = lineCount(text);
    return lines > LONGEST_SOURCE ? [`${path}:${LONGEST_SOURCE + 1}: ${lines} lines`] : [];
  });
}

/** What is wrong with the median length of the source files; indexes do not count. */
export function medianProblem(files: readonly HouseFile[]): string[] {
  const counts = files.filter(({ path }) => !path.endsWith('/index.ts')).map(({ text }) => lineCount(text));
  const median = counts.toSorted((a, b) => a - b)[counts.length >> 1] ?? 0;
  const isInside = median >= MEDIAN_SOURCE.least && median <= MEDIAN_SOURCE.most;
  return isInside
    ? []
    : [`the median source file has ${median} lines, not ${MEDIAN_SOURCE.least} to ${MEDIAN_SOURCE.most}`];
}

/** The folders with more than {@link MOST_SIBLINGS} files directly in them. */
export function crowdedFolders(paths: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const path of paths) {
    const folder = path.slice(0, path.lastIndexOf('/'));
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  return [...counts].flatMap(([folder, count]) => (count > MOST_SIBLINGS ? [`${folder}: ${count} files`] : []));
}

/** The places of work left for later, as `file:line: text`. */
export function unfinished({ path, text }: HouseFile): string[] {
  const mark = /\b(?:TOD[O]|FIXM[E])\b/;
  return text.split('\n').flatMap((line, index) => (mark.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : []));
}
