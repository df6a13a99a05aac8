import type { RunReport } from '@virtio-platform/runner';
import type { Terminal } from '../../terminal.ts';
import { featureSummary } from './run-table.ts';
import { formatBytes, runLine } from './run-line.ts';

/** Prints the runs one below the other, three lines each: for a terminal that is too narrow for a table. */
export function printRunCards(terminal: Terminal, reports: readonly RunReport[]): void {
  const { dim } = terminal.colors;
  for (const report of reports) {
    const { platform, machine, path, queue, workload, dma } = report;
    terminal.print(runLine(terminal, report));
    const ring = queue === null ? [] : [`${queue.layout} ${queue.size}`];
    const where = [platform, machine, path ?? 'no path', ...ring].join(', ');
    const work = `${workload.requests.toLocaleString('en')} requests, ${dma.maps.toLocaleString('en')} mappings`;
    const bounced = dma.bytesBounced === 0 ? '' : `, ${formatBytes(dma.bytesBounced)} bounced`;
    terminal.printSentence(15, dim(`${where}; ${work}${bounced}`));
    terminal.printSentence(15, dim(featureSummary(report) || 'no features'));
  }
}
