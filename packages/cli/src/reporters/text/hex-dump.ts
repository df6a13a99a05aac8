import type { FailureExplanation } from '@virtio-platform/runner';
import type pc from 'picocolors';

/** The most lines of each side. */
const MOST_LINES = 6;

/**
 * Bytes that were expected beside those that came, as lines of at most `columns`: 16 bytes a line where both sides fit
 * beside each other, 8 in a narrower terminal. What differs is marked by a `*` in front of the byte. Lines from the
 * first that differs on; those without a difference are left out where there are more.
 */
export function hexDump(
  { offset, expected, actual }: NonNullable<FailureExplanation['bytes']>,
  columns: number,
  { red, dim }: Pick<ReturnType<typeof pc.createColors>, 'red' | 'dim'>,
): string[] {
  const [was, is] = [bytesOf(expected), bytesOf(actual)];
  const perLine = columns >= 2 * (16 * 3) + 10 ? 16 : 8;
  const rows: { readonly differs: boolean; readonly line: string }[] = [];
  for (let at = 0; at < Math.max(was.length, is.length); at += perLine) {
    const side = (bytes: readonly string[], mark: (text: string) => string): string =>
      Array.from({ length: perLine }, (_, i) => {
        const byte = bytes[at + i] ?? '  ';
        return was[at + i] === is[at + i] ? ` ${byte}` : mark(`*${byte}`);
      }).join('');
    const differs = was.slice(at, at + perLine).join() !== is.slice(at, at + perLine).join();
    const place = String(offset + at).padStart(6);
    rows.push({ differs, line: `${place} ${side(was, (text) => text)}  ${side(is, red)}` });
  }
  const first = rows.findIndex(({ differs }) => differs);
  const shown = rows.slice(Math.max(0, first - 1), Math.max(0, first - 1) + MOST_LINES);
  const head = `${'byte'.padStart(6)}  ${'expected'.padEnd(perLine * 3)}  actual`;
  const left = rows.slice(Math.max(0, first - 1) + MOST_LINES).filter(({ differs }) => differs).length;
  return [
    dim(head),
    ...shown.map(({ line }) => line),
    ...(left > 0 ? [dim(`       and ${left} more lines that differ`)] : []),
  ];
}

function bytesOf(hexadecimal: string): string[] {
  return hexadecimal.match(/../g) ?? [];
}
