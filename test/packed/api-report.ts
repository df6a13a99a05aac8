import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CompilerState,
  Extractor,
  ExtractorConfig,
  ExtractorLogLevel,
  ExtractorMessageCategory,
  type ExtractorMessage,
} from '@microsoft/api-extractor';
import { publicPackages, ROOT, type PublicPackage } from './public-packages.ts';

/** What API Extractor remarks on declarations. */
const NOISE = /^\s*\/\/ (?:\(undocumented\)|@public|Warning:)|^\/\/ \(No @pack/;

const NO_MESSAGES = { default: { logLevel: ExtractorLogLevel.None } };

/** Where the report of a package is kept. */
export function apiReportPath(folder: string): string {
  return join(ROOT, 'packages', folder, 'api-report.txt');
}

/**
 * What a package exports, as its built declarations have it: every entry with its declarations, and those that they
 * refer to, sorted by name and without comments. A change of it is a change for the users of the package.
 */
export function apiReport({ folder, manifest }: PublicPackage): string {
  const work = mkdtempSync(join(tmpdir(), 'virtio-platform-api-'));
  try {
    const parts = typesOf({ folder, manifest }).map(([entry, types]) => {
      const declarations = entryReport(join(ROOT, 'packages', folder), types, work);
      return `${entry.replace('.', manifest.name)}\n\n${declarations}`;
    });
    return `Made by \`npm run api-report\` from the built declarations.\n\n${parts.join('\n')}`;
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** The entries of a package, each with the path of its declarations. */
function typesOf({ folder, manifest }: PublicPackage): (readonly [entry: string, types: string])[] {
  return Object.entries(manifest.exports).flatMap(([entry, target]) =>
    typeof target === 'object' && target.types !== undefined
      ? [[entry, join(ROOT, 'packages', folder, target.types)] as const]
      : [],
  );
}

/** The declarations of all entries of all packages, analysed once. */
let analysed: CompilerState | undefined;

function entryReport(packageFolder: string, entry: string, work: string): string {
  const compilerOptions = { module: 'nodenext', target: 'es2022', lib: ['es2023', 'esnext.disposable'], strict: true };
  const config = ExtractorConfig.prepare({
    configObject: {
      projectFolder: packageFolder,
      mainEntryPointFilePath: entry,
      compiler: {
        overrideTsconfig: {
          compilerOptions: { ...compilerOptions, types: ['node'], skipLibCheck: true },
          files: [entry],
        },
      },
      apiReport: {
        enabled: true,
        reportFileName: 'entry',
        reportFolder: work,
        reportTempFolder: join(work, 'new'),
        includeForgottenExports: true,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: 'lf',
      messages: { extractorMessageReporting: NO_MESSAGES, tsdocMessageReporting: NO_MESSAGES },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(packageFolder, 'package.json'),
  });
  analysed ??= CompilerState.create(config, {
    additionalEntryPoints: publicPackages().flatMap((each) => typesOf(each).map(([, types]) => types)),
  });
  const errors: string[] = [];
  Extractor.invoke(config, {
    compilerState: analysed,
    localBuild: true,
    messageCallback(message: ExtractorMessage) {
      if (message.category === ExtractorMessageCategory.Compiler && message.logLevel !== ExtractorLogLevel.None)
        errors.push(message.text);
      message.handled = true;
    },
  });
  if (errors.length > 0) throw new Error(`${entry}: ${errors.join('\n')}`);
  return withoutNoise(readFileSync(join(work, 'new', 'entry.api.md'), 'utf8'));
}

/** Keeps the declarations of a report of API Extractor. */
function withoutNoise(report: string): string {
  const [, code = ''] = /```ts\n+([\s\S]*?)```/.exec(report) ?? [];
  return code
    .split('\n')
    .filter((line) => !NOISE.test(line))
    .join('\n');
}
