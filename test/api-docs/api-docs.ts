import { join } from 'node:path';
import {
  Application,
  Converter,
  LogLevel,
  ReflectionKind,
  TSConfigReader,
  type DeclarationReflection,
  type ProjectReflection,
} from 'typedoc';
import { publicPackages, ROOT, type PublicPackage } from '../packed/public-packages.ts';

const REPOSITORY = 'https://github.com/virtio-platform/virtio-platform';

/** One place that a published package is imported from. */
export interface Entry {
  /** As an import has it: `@virtio-platform/core/queue`. */
  readonly name: string;
  /** The source, from the root of the repository. */
  readonly source: string;
  /** The built declarations, from the root of the repository. */
  readonly types: string;
}

/** Every entry of every published package. */
export function publicEntries(): Entry[] {
  return publicPackages().flatMap(entriesOf);
}

function entriesOf({ folder, manifest }: PublicPackage): Entry[] {
  return Object.entries(manifest.exports).flatMap(([entry, target]) => {
    if (typeof target === 'string' || target.types === undefined) return [];
    const types = join('packages', folder, target.types);
    const source = types.replace('/dist/', '/src/').replace(/\.d\.ts$/, '.ts');
    return [{ name: entry.replace('.', manifest.name), source, types }];
  });
}

/**
 * Writes the API reference to a folder, as pages for a browser: what each entry exports, with its docstrings. Returns
 * what is wrong with them, such as a link that leads nowhere. Throws an Error where the sources cannot be read.
 */
export async function writeApiDocs(folder: string): Promise<string[]> {
  const entries = publicEntries();
  const app = await Application.bootstrap(
    {
      name: 'virtio-platform',
      entryPoints: entries.map(({ source }) => join(ROOT, source)),
      tsconfig: join(ROOT, 'test/api-docs/tsconfig.json'),
      // `npm run check` does that, with the release of TypeScript that the sources are written for.
      skipErrorChecking: true,
      basePath: ROOT,
      readme: 'none',
      disableGit: true,
      gitRevision: 'main',
      // TypeDoc has the path from the folder that all sources are in.
      sourceLinkTemplate: `${REPOSITORY}/blob/{gitRevision}/packages/{path}#L{line}`,
      excludeExternals: true,
      excludePrivate: true,
      hideGenerator: true,
      validation: { notExported: false, invalidLink: true, rewrittenLink: false, notDocumented: false },
      navigationLinks: { Repository: REPOSITORY },
    },
    [new TSConfigReader()],
  );
  const problems: string[] = [];
  app.logger.level = LogLevel.None;
  const log = app.logger.log.bind(app.logger);
  app.logger.log = (message, level) => {
    if (level >= LogLevel.Warn) problems.push(message);
    log(message, level);
  };
  // TypeDoc names a module by its file; a reader imports it by its name.
  const names = new Map(entries.map(({ name, source }) => [source, name]));
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const module of project.children ?? []) {
      module.name = names.get(module.sources?.[0]?.fileName ?? '') ?? module.name;
    }
    completeLinks(project);
  });
  // What a package does not export has no page.
  app.converter.addUnknownSymbolResolver((_reference, _from, _part, symbol) =>
    symbol === undefined ? undefined : '#',
  );
  const project = await app.convert();
  if (project === undefined) throw new Error(`the sources cannot be read:\n${problems.join('\n')}`);
  app.validate(project);
  await app.generateDocs(project, folder);
  return problems;
}

/** A docstring names errors that its file does not import: adds where they are. */
function completeLinks(project: ProjectReflection): void {
  const modules = project.children ?? [];
  for (const { comment } of Object.values(project.reflections)) {
    const parts = [...(comment?.summary ?? []), ...(comment?.blockTags.flatMap(({ content }) => content) ?? [])];
    for (const part of parts) {
      if (part.kind !== 'inline-tag' || part.tag !== '@link' || part.target !== undefined) continue;
      const { text } = part;
      const isExport = (child: DeclarationReflection): boolean =>
        child.name === text && !child.kindOf(ReflectionKind.Reference);
      const module = modules.find(({ children = [] }) => children.some(isExport));
      if (module !== undefined) part.text = `!${JSON.stringify(module.name)}.${text} | ${text}`;
    }
  }
}
