import { printable } from '@virtio-platform/core';

/** Milliseconds as JUnit has them: seconds, with three places. */
export function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}

/** ISO 8601 without zone, in UTC, as Jenkins' schema has it. */
export function isoSeconds(date: Date): string {
  return date.toISOString().slice(0, 19);
}

/** Attributes of an element, escaped. */
export function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}="${escapeXml(String(value)).replaceAll('\n', '&#10;')}"`)
    .join(' ');
}

/** For text and for attributes. What XML has no form for at all is escaped as on a terminal (XML 1.0, 2.2). */
export function escapeXml(text: string): string {
  const lines = text.split('\n').map((line) => printable(line));
  return lines
    .join('\n')
    .replaceAll(/[\uFFFE\uFFFF]/g, (character) => (character === '\uFFFE' ? String.raw`\ufffe` : String.raw`\uffff`))
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
