import { createHash } from 'node:crypto';
import { pageStyle } from '../page-files.ts';
import { commandWords } from './command-block.ts';
import { element, html, type Fragment } from './markup.ts';

/** What a page has around its content. */
export interface PageShell {
  /** What it is: `run report`. */
  readonly kind: string;
  /** The first line: what happened. */
  readonly verdict: string;
  readonly isGood: boolean;
  readonly toolVersion: string;
  /** The command line that made it. */
  readonly command: string;
  readonly startedAt: Date;
  /** The section that matters most: its id, and words of a link to it. */
  readonly target: { readonly id: string; readonly words: string };
  readonly content: Fragment;
  /** The script of the page, and data that it reads, as the text of an element. */
  readonly script?: { readonly text: string; readonly words: string } | undefined;
}

/** One page of HTML that loads nothing: what happened on its first line, then its content. */
export function pageShell(shell: PageShell): string {
  const { kind, verdict, isGood, toolVersion, command, startedAt, target, content, script } = shell;
  const style = pageStyle();
  const allowed = script === undefined ? 'none' : hashOf(script.text);
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src '${hashOf(style)}'; script-src '${allowed}'"
        />
        <meta name="color-scheme" content="light dark" />
        <meta name="generator" content="virtio-platform ${toolVersion}" />
        <title>${isGood ? '✓' : '✗'} ${verdict}: virtio-platform</title>
        ${element('style', '', style)}
      </head>
      <body>
        <a class="skip" href="#${target.id}">${target.words}</a>
        <header>
          <p class="brand">virtio-platform ${toolVersion} <span>${kind}</span></p>
          <h1 class="${isGood ? 'good' : 'bad'}">
            <span class="mark" aria-hidden="true">${isGood ? '✓' : '✗'}</span> ${verdict}
          </h1>
          <p class="meta">
            <time datetime="${startedAt.toISOString()}"
              >${startedAt.toISOString().slice(0, 19).replace('T', ' ')} UTC</time
            >
            <code>${commandWords(command)}</code>
          </p>
        </header>
        <main>${content}</main>
        <footer><p>Made by virtio-platform ${toolVersion}. This page loads nothing from anywhere.</p></footer>
        ${script !== undefined && element('script', ' type="application/json" id="words"', script.words)}
        ${script !== undefined && element('script', '', script.text)}
      </body>
    </html> `.text;
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
