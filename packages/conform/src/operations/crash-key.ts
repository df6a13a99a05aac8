/** The report of a sanitizer: its name, and what it found. */
const SANITIZER = /ERROR: (\w+Sanitizer): ([\w-]+)|(\w+):\d+:\d+: runtime error: ([^\n]*)/;
/** The first frame of a stack that has a name. */
const FRAME = /#\d+ 0x[0-9a-f]+ in (\S+)/;

/**
 * What two failures have in common that are one bug: what a sanitizer found and the function that it names, or else
 * what was seen, without the numbers of this run.
 */
export function crashKey(verdict: string, seen: string): string {
  const [, name, what, file, error] = SANITIZER.exec(seen) ?? [];
  const frame = FRAME.exec(seen)?.[1];
  const place = frame === undefined ? '' : ` in ${frame}`;
  if (name !== undefined) return `${name}: ${what}${place}`;
  if (file !== undefined) return `UndefinedBehaviorSanitizer: ${error?.replaceAll(/\d+/g, 'N')}${place}`;
  return `${verdict}: ${seen.replaceAll(/0x[0-9a-f]+|\d+/g, 'N').slice(0, 200)}`;
}
