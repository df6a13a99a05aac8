import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync, appendFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { it } from 'vitest';
import { commandHere } from '../command/command.ts';
const SOURCE = fileURLToPath(new URL('wrong-back-end.c', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'vp-gen-'));
const program = join(folder, 'wrong');
execFileSync('gcc', ['-O1', SOURCE, '-o', program]);
const CASES: [string, number, string, number?][] = [];
for (const l of ['', 'packed']) for (const b of ['completes-twice','skips-an-index','index-jumps','index-goes-back','overwrites-a-used-element','never-completes-one','id-out-of-range','id-not-outstanding','used-length-too-large','used-length-zero','used-length-short','suppresses-kicks','forgets-avail-event','forgets-the-used-wrap','forgets-the-avail-wrap','never-starts','hangs','crashes','exits','writes-beyond-the-buffer','loses-a-write','tears-a-write','wrong-sector','swaps-two-requests','flips-a-bit','reads-zeros','reads-short','swaps-bytes','reports-io-error','invents-a-status','forgets-the-status','writes-the-status-late','corrupts-a-descriptor']) CASES.push([b,16,l]);
for (const l of ['', 'packed']) for (const b of ['completes-twice','skips-an-index','never-completes-one','never-notifies','loses-a-notification','event-off-by-one','forgets-the-event-wrap','id-not-outstanding']) CASES.push([b,1,l]);
for (const l of ['no-indirect','packed no-indirect','in-order','packed in-order','two-queues','packed two-queues','no-event-idx','packed no-event-idx']) for (const b of ['completes-twice','skips-an-index','never-completes-one','loses-a-write','suppresses-kicks']) CASES.push([b,32,l]);
for (const l of ['no-event-idx','packed no-event-idx', 'two-queues']) CASES.push(['never-notifies',2,l]);
for (const l of ['packed no-event-idx']) {CASES.push(['forgets-the-used-wrap',32,l]); CASES.push(['forgets-the-avail-wrap',32,l]);}
CASES.push(['loses-a-write',16,'small-disk']);
const only = process.env['ONLY'];
it('gen', async () => {
  for (const [bug, depth, options] of CASES) {
    if (only !== undefined && !new RegExp(only).test(`${bug} ${depth} ${options}`)) continue;
    const words = options === '' ? [] : options.split(' ');
    const path = join(folder, 'p.yaml');
    writeFileSync(path, `profile: wrong
platform: { use: "@virtio-platform/platform-legacy" }
machine:
  use: "@virtio-platform/machine-vhost-user"
  memory: 16MiB
  replyTimeout: 500
  command: [${[program, '"{socket}"', bug, ...words].join(', ')}]
device: { type: block${words.includes('two-queues') ? ', queues: 2' : ''} }
driver: { timeout: 300ms }
queue: { layout: ${words.includes('packed') ? 'packed' : 'split'}, size: 64 }
workload: { kind: write-read-verify, requests: 200, depth: ${depth}, blockSize: 4096, seed: 7 }
`);
    const { stdout, status } = await commandHere(['run', path]);
    const lines = stdout.split('\n');
    const start = lines.indexOf('wrong') + 1;
    const n = Number(process.env['N'] ?? 3);
    appendFileSync('/tmp/fl/gen.txt', `## ${bug} ${depth} ${options} -> ${status}\n${lines.slice(start, start + n).join('\n')}\n`);
  }
}, 600_000);
