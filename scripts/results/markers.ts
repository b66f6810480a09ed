// A part of a document that a script writes lies between `<!-- name -->` and `<!-- /name -->`, each on a line of its own.

/** The document with what lies between the markers of `name` replaced. @throws Error where they are not there, once each */
export function replaceBetween(text: string, name: string, content: string): string {
  const [open, close] = [`<!-- ${name} -->\n`, `<!-- /${name} -->\n`];
  const parts = text.split(open);
  const rest = parts[1]?.split(close);
  if (parts.length !== 2 || rest?.length !== 2) {
    throw new Error(`expected ${open.trim()} and ${close.trim()} in the document, once each and in this order.`);
  }
  return `${parts[0]}${open}\n${content}\n\n${close}${rest[1]}`;
}
