/** The report of a sanitizer: its name, and what it found. */
const SANITIZER = /ERROR: (\w+Sanitizer): ([\w-]+)|(\w+):\d+:\d+: runtime error: ([^\n]*)/;
/** Its last line: a long report may have lost the first. */
const SUMMARY = /SUMMARY: (\w+Sanitizer): ([\w-]+) [^\n]*? in (\S+)/;
/** The frames of a stack that have a name, and those of a library that only did what it was told. */
const FRAMES = /#\d+ 0x[0-9a-f]+ in (\S+)/g;
const OF_LIBRARY = /^(_|mem|str|abort$|raise$|gsignal$)/;

/**
 * What two failures have in common that are one bug: what a sanitizer found and the function that it names, or else
 * what was seen, without the numbers of this run.
 */
export function crashKey(verdict: string, seen: string): string {
  const [, name, what, file, error] = SANITIZER.exec(seen) ?? [];
  const frames = [...seen.matchAll(FRAMES)].map(([, each]) => each!);
  const frame = frames.find((each) => !OF_LIBRARY.test(each)) ?? frames[0];
  const place = frame === undefined ? '' : ` in ${frame}`;
  if (name !== undefined) return `${name}: ${what}${place}`;
  const [, by, found, where] = SUMMARY.exec(seen) ?? [];
  if (by !== undefined) return `${by}: ${found} in ${where}`;
  if (file !== undefined) return `UndefinedBehaviorSanitizer: ${error?.replaceAll(/\d+/g, 'N')}${place}`;
  return `${verdict}: ${seen.replaceAll(/0x[0-9a-f]+|\d+/g, 'N').slice(0, 200)}`;
}
