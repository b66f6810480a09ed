// docs/reference/api.md: what the package's two doors export, from the declarations in dist/: name, signature, what the doc
// comment says. A type that a schema of src/records infers is spelt out.

import { join } from 'node:path';
import ts from 'typescript';

const DOORS = [
  {
    file: 'index',
    name: 'layerwise',
    text: 'The library, for Node. One function per command, with the options of [its page](commands/help.md) in camelCase.',
  },
  {
    file: 'browser',
    name: 'layerwise/browser',
    text: 'A packed model in a page; [in a browser](../guide/browser.md) shows how. Errors are those of `layerwise`.',
  },
];

/** Functions and values before types. */
const isType = (declaration: ts.Declaration): boolean =>
  ts.isTypeAliasDeclaration(declaration) || ts.isInterfaceDeclaration(declaration);

/** A document's type as it is inferred from its schema, spelt out. */
function documentOf(declaration: ts.TypeAliasDeclaration, checker: ts.TypeChecker): string {
  const { NoTruncation, InTypeAlias, MultilineObjectLiterals } = ts.NodeBuilderFlags;
  const flags = NoTruncation | InTypeAlias | MultilineObjectLiterals;
  const node = checker.typeToTypeNode(checker.getTypeAtLocation(declaration), declaration, flags)!;
  const text = ts.createPrinter().printNode(ts.EmitHint.Unspecified, node, declaration.getSourceFile());
  return `type ${declaration.name.text} = ${text.replaceAll(' | undefined;', ';')};`;
}

/** A declaration as it is written, without `export declare`, indented as the project's code is. */
function signatureOf(declaration: ts.Declaration, checker: ts.TypeChecker): string {
  const node = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;
  const written = node.getText();
  const text =
    ts.isTypeAliasDeclaration(declaration) && written.includes('z.infer<') ? documentOf(declaration, checker) : written;
  return text
    .replace(/^export (declare )?/, '')
    .replaceAll(/^ +/gm, (spaces) => ' '.repeat(Math.floor(spaces.length / 2) + (spaces.length % 2)));
}

/** The doc comment of a symbol, in Markdown; a `@throws` is a sentence of its own. */
function commentOf(symbol: ts.Symbol, checker: ts.TypeChecker): string {
  const text = ts.displayPartsToString(symbol.getDocumentationComment(checker));
  const throws = symbol
    .getJsDocTags(checker)
    .filter(({ name }) => name === 'throws')
    .map(({ text: parts }) => `Throws ${ts.displayPartsToString(parts)}`);
  return [text, ...throws.map((one) => (/[.!?]$/.test(one) ? one : `${one}.`))]
    .filter((one) => one !== '')
    .join('\n\n')
    .replaceAll(/(`[^`]*`)|</g, (_, code?: string) => code ?? '&lt;');
}

function entry(name: string, symbol: ts.Symbol, checker: ts.TypeChecker): string {
  const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const [declaration] = target.declarations ?? [];
  if (!declaration) throw new Error(`${name}: expected a declaration in dist/; run npm run build.`);
  const comment = commentOf(target, checker);
  return `### ${name}\n\n${comment === '' ? '' : `${comment}\n\n`}\`\`\`ts\n${signatureOf(declaration, checker)}\n\`\`\`\n`;
}

/** The Markdown of docs/reference/api.md, from the declarations in `dist`. */
export function renderApi(dist: string): string {
  const files = DOORS.map(({ file }) => join(dist, `${file}.d.ts`));
  const program = ts.createProgram(files, {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: [],
  });
  const checker = program.getTypeChecker();
  const seen = new Set<string>();
  const sections = DOORS.map(({ name, text }, door) => {
    const source = program.getSourceFile(files[door]!)!;
    const symbols = checker.getExportsOfModule(checker.getSymbolAtLocation(source)!);
    const rank = (symbol: ts.Symbol): number => {
      const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      return (target.declarations ?? []).every(isType) ? 1 : 0;
    };
    const own = symbols
      .filter((symbol) => !seen.has(symbol.name))
      .sort((a, b) => rank(a) - rank(b) || (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
    for (const symbol of own) seen.add(symbol.name);
    const entries = own.map((symbol) => entry(symbol.name, symbol, checker));
    return `## \`${name}\`\n\n${text}\n\n${entries.join('\n')}`;
  });
  return `<!-- Made from the declarations of src/index.ts and src/browser.ts by npm run docs; change them there. -->

# TypeScript API

The package has two doors. What stands here is public; everything else in \`dist/\` may change without notice. Errors are
[typed and have stable codes](errors.md). The words are in the [glossary](../glossary.md).

${sections.join('\n')}`;
}
