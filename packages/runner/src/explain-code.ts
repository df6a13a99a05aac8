import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** What the documentation says of a code. */
export interface CodeExplanation {
  readonly code: string;
  /** `driver`: a finding in a driver of a device that is served. */
  readonly kind: 'error' | 'finding' | 'driver';
  /** The page that has it, in the package `@virtio-platform/core`. */
  readonly page: string;
  /** Its paragraphs, in Markdown. */
  readonly text: string;
}

const PAGES = [
  { kind: 'error', page: 'docs/errors.md', heading: /^### (ERR_[A-Z_]+)$/m },
  { kind: 'finding', page: 'docs/findings.md', heading: /^### (DMA-[A-Z-]+)$/m },
  { kind: 'driver', page: 'docs/driver-findings.md', heading: /^### (DRV-[A-Z-]+)$/m },
] as const;

/** Every code of an error and of a finding, as the pages have them: the one source of their texts. */
export function explainedCodes(): readonly CodeExplanation[] {
  const core = dirname(createRequire(import.meta.url).resolve('@virtio-platform/core/package.json'));
  return PAGES.flatMap(({ kind, page, heading }) => {
    const [, ...parts] = readFileSync(join(core, page), 'utf8').split(heading);
    const found: CodeExplanation[] = [];
    // Codes and what stands behind them take turns.
    for (let i = 0; i + 1 < parts.length; i += 2) {
      const [text] = parts[i + 1]!.split(/^#{1,3} /m, 1);
      found.push({ code: parts[i]!, kind, page, text: text!.trim() });
    }
    return found;
  });
}
